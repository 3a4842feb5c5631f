// What a lead becomes in W1, for the packages of Node's that read rows and do nothing else. null: left out.
exports.line = function (lead) {
  const name = lead.last_name || lead.first_name;
  if (!name && !lead.company) return null;
  const d = lead.created_at; // MM/DD/YYYY HH:mm
  const at = new Date(Date.UTC(+d.slice(6, 10), +d.slice(0, 2) - 1, +d.slice(3, 5), +d.slice(11, 13), +d.slice(14, 16)));
  return JSON.stringify({
    custom0: lead.id, name, company: lead.company, email: lead.email.toLowerCase(), phone: lead.phone,
    city: lead.city, country: lead.country, custom1: lead.title, dealAmount: Number(lead.annual_revenue),
    custom2: at.toISOString().slice(0, 19) + 'Z', custom3: lead.industry, notes: lead.notes,
  }) + '\n';
};
