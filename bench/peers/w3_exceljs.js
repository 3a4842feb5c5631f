// W3 with exceljs in its streaming mode: node w3_exceljs.js IN OUT
const fs = require('fs'), {once} = require('events');
const excel = require('exceljs');

function cell(value) {
  if (value === null || value === undefined) return '';
  const text = typeof value === 'object' ? String(value.text ?? value.result ?? value) : String(value);
  return /[",\r\n]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
}

async function main(input, output) {
  const out = fs.createWriteStream(output);
  const book = new excel.stream.xlsx.WorkbookReader(input, {worksheets: 'emit', sharedStrings: 'cache', styles: 'ignore', hyperlinks: 'ignore'});
  let width = 0;
  for await (const sheet of book) {
    for await (const row of sheet) {
      width ||= row.values.length;
      const cells = [];
      for (let i = 1; i < width; i++) cells.push(cell(row.values[i]));
      if (!out.write(cells.join(',') + '\n')) await once(out, 'drain');
    }
  }
  out.end();
}

main(...process.argv.slice(2)).catch(err => { console.error(String(err)); process.exit(1); });
