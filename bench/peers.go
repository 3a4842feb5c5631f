package main

// What the peers are given to do. Each does the whole of the work; none of them checks an address or tells why a row is
// left out.

const selectW1 = `select id as custom0, case when last_name <> '' then last_name else first_name end as name, company, lower(email) as email, phone, city, country,
title as custom1, annual_revenue::bigint as dealAmount, strftime(strptime(created_at, '%m/%d/%Y %H:%M'), '%Y-%m-%dT%H:%M:%SZ') as custom2, industry as custom3, notes
from read_csv('FILE', header=true, all_varchar=true, nullstr='\N', delim=',', quote='"', escape='"')
where first_name <> '' or last_name <> '' or company <> ''`

const pythonW1 = `
import sys, csv, json
from datetime import datetime
with open(sys.argv[1], newline='') as i, open(sys.argv[2], 'w') as o:
    dump = json.JSONEncoder(ensure_ascii=False, separators=(',', ':')).encode
    for r in csv.DictReader(i):
        name = r['last_name'] or r['first_name']
        if not (name or r['company']): continue
        o.write(dump({'custom0': r['id'], 'name': name, 'company': r['company'], 'email': r['email'].lower(), 'phone': r['phone'], 'city': r['city'], 'country': r['country'], 'custom1': r['title'], 'dealAmount': int(r['annual_revenue']), 'custom2': datetime.strptime(r['created_at'], '%m/%d/%Y %H:%M').strftime('%Y-%m-%dT%H:%M:%SZ'), 'custom3': r['industry'], 'notes': r['notes']}) + '\n')
`

const pandasW1 = `
import sys, pandas as pd
cols = {'id':'custom0','last_name':'name','company':'company','email':'email','phone':'phone','city':'city','country':'country','title':'custom1','annual_revenue':'dealAmount','created_at':'custom2','industry':'custom3','notes':'notes'}
with open(sys.argv[2], 'w') as f:
    for d in pd.read_csv(sys.argv[1], chunksize=50000, dtype=str, keep_default_na=False, usecols=list(cols) + ['first_name']):
        d = d[(d.first_name != '') | (d.last_name != '') | (d.company != '')].copy()
        d['last_name'] = d.last_name.where(d.last_name != '', d.first_name)
        d['email'] = d.email.str.lower()
        d['annual_revenue'] = d.annual_revenue.astype('int64')
        d['created_at'] = pd.to_datetime(d.created_at, format='%m/%d/%Y %H:%M').dt.strftime('%Y-%m-%dT%H:%M:%SZ')
        d[list(cols)].rename(columns=cols).to_json(f, orient='records', lines=True, force_ascii=False)
`

const openpyxlW3 = `
import sys, csv, openpyxl
with open(sys.argv[2], 'w', newline='') as o:
    w = csv.writer(o)
    for r in openpyxl.load_workbook(sys.argv[1], read_only=True).worksheets[0].iter_rows(values_only=True): w.writerow(r)
`

const openpyxlW4 = `
import sys, csv, openpyxl
b = openpyxl.Workbook(write_only=True); s = b.create_sheet()
for r in csv.reader(open(sys.argv[1], newline='')): s.append(r)
b.save(sys.argv[2])
`
