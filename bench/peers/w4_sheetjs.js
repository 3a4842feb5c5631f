// W4 with SheetJS, rows read by csv-parse: node w4_sheetjs.js IN OUT
const fs = require('fs');
const xlsx = require('xlsx');
const {parse} = require('csv-parse/sync');

const [input, output] = process.argv.slice(2);
const book = xlsx.utils.book_new();
xlsx.utils.book_append_sheet(book, xlsx.utils.aoa_to_sheet(parse(fs.readFileSync(input)), {dense: true}), 'Sheet1');
xlsx.writeFile(book, output, {compression: true});
