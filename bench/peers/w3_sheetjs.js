// W3 with SheetJS: node w3_sheetjs.js IN OUT
const fs = require('fs');
const xlsx = require('xlsx');

const [input, output] = process.argv.slice(2);
const book = xlsx.readFile(input, {dense: true});
fs.writeFileSync(output, xlsx.utils.sheet_to_csv(book.Sheets[book.SheetNames[0]]));
