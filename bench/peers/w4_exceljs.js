// W4 with exceljs in its streaming mode, rows read by csv-parse: node w4_exceljs.js IN OUT
const fs = require('fs');
const excel = require('exceljs');
const {parse} = require('csv-parse');

async function main(input, output) {
  const book = new excel.stream.xlsx.WorkbookWriter({filename: output, useStyles: false, useSharedStrings: false});
  const sheet = book.addWorksheet('Sheet1');
  for await (const lead of fs.createReadStream(input).pipe(parse())) sheet.addRow(lead).commit();
  sheet.commit();
  await book.commit();
}

main(...process.argv.slice(2)).catch(err => { console.error(String(err)); process.exit(1); });
