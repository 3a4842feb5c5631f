// W1 with Polars as a package of Node's, the whole table in memory: node w1_polars.js IN OUT
const polars = require('nodejs-polars');
const pl = polars.default || polars;
const {col} = pl;

const [input, output] = process.argv.slice(2);
const there = name => col(name).isNotNull();
pl.readCSV(input, {inferSchemaLength: 0})
  .filter(there('first_name').or(there('last_name')).or(there('company')))
  .select(
    col('id').alias('custom0'),
    pl.when(there('last_name')).then(col('last_name')).otherwise(col('first_name')).alias('name'),
    col('company'), col('email').str.toLowerCase(), col('phone'), col('city'), col('country'),
    col('title').alias('custom1'),
    col('annual_revenue').cast(pl.Int64).alias('dealAmount'),
    col('created_at').str.replace('(\\d\\d)/(\\d\\d)/(\\d{4}) (\\d\\d:\\d\\d)', '${3}-${1}-${2}T${4}:00Z').alias('custom2'),
    col('industry').alias('custom3'), col('notes'),
  )
  .writeJSON(output, {format: 'lines'});
