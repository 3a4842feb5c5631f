// W1 with csv-parse: node w1_csvparse.js IN OUT
const fs = require('fs');
const {pipeline, Transform} = require('stream');
const {parse} = require('csv-parse');
const {line} = require('./w1_lead.js');

const [input, output] = process.argv.slice(2);
const mapped = new Transform({
  writableObjectMode: true,
  transform(lead, _, done) {
    const text = line(lead);
    text === null ? done() : done(null, text);
  },
});
pipeline(fs.createReadStream(input, {highWaterMark: 256 << 10}), parse({columns: true}), mapped, fs.createWriteStream(output), err => {
  if (err) { console.error(String(err)); process.exit(1); }
});
