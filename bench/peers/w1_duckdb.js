// W1 with DuckDB as a package of Node's: node w1_duckdb.js IN OUT THREADS
const fs = require('fs'), path = require('path');
const {DuckDBInstance} = require('@duckdb/node-api');

async function main(input, output, threads) {
  const sql = fs.readFileSync(path.join(__dirname, 'w1_duckdb.sql'), 'utf8')
    .replace('THREADS', threads).replace("'IN'", () => `'${input}'`).replace("'OUT'", () => `'${output}'`);
  const db = await DuckDBInstance.create(':memory:');
  const connection = await db.connect();
  await connection.run(sql);
  connection.closeSync();
}

main(...process.argv.slice(2)).catch(err => { console.error(String(err)); process.exit(1); });
