package main

// mappingW1 makes customers of leads: twelve fields, an address in small letters, a date that becomes RFC 3339. Rows
// without name and company are refused by the vendor's rules.
const mappingW1 = `version: 1
target: mapmycustomers/customers
mode: create
fields:
  custom0: id
  name: {column: [last_name, first_name]}
  company: company
  email: {column: email, apply: [lower]}
  phone: phone
  city: city
  country: country
  custom1: title
  dealAmount: annual_revenue
  custom2: {column: created_at, apply: [{datetime: MM/DD/YYYY HH:mm}]}
  custom3: industry
  notes: notes
`

// mappingW2 makes events of the same leads: contacts of Mapp Connect, who are told apart by their addresses.
const mappingW2 = `version: 1
target: mappconnect/user
mode: upsert
fields:
  externalID: id
  firstName: first_name
  lastName: last_name
  company: company
  email: {column: email, apply: [lower]}
  phone: phone
  city: city
  country: country
  jobTitle: title
  annualRevenue: {column: annual_revenue, apply: [number]}
  createdAt: {column: created_at, apply: [{datetime: MM/DD/YYYY HH:mm}]}
  notes: notes
`
