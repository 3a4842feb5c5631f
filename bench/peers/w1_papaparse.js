// W1 with PapaParse: node w1_papaparse.js IN OUT
const fs = require('fs');
const papa = require('papaparse');
const {line} = require('./w1_lead.js');

const [input, output] = process.argv.slice(2);
const out = fs.openSync(output, 'w');
let held = [];
const flush = () => { fs.writeSync(out, held.join('')); held = []; };
papa.parse(fs.createReadStream(input, {highWaterMark: 256 << 10}), {
  header: true,
  skipEmptyLines: true,
  step(row) {
    const text = line(row.data);
    if (text !== null && held.push(text) === 1000) flush();
  },
  complete() { flush(); fs.closeSync(out); },
  error(err) { console.error(String(err)); process.exit(1); },
});
