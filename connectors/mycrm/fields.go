package mycrm

import "github.com/crmetl/crmetl/schema"

// Where facts of the table come from.
const (
	srcCreate = "Create Lead: the table of the request"
	srcWish   = "Create Lead: the table of the wishlist"
	srcRead   = "Get Lead: the table of the response"
	srcPatch  = "Patch: the example of the request; the table lacks it"
	srcDTO    = "guess: not in the document; public code reads it from real answers"
)

// Choices of the document's tables.
func statuses() []string {
	return []string{"notYetContacted", "calledNoReply", "prospect", "qualified", "viewingsInProgress", "contractSent", "contractSigned", "notReady", "notInterested"}
}

func sources() []string {
	return []string{"propertyfinder", "portal", "socialMedia", "online", "offline", "other"}
}

func timeFrames() []string { return []string{"0", "1", "2", "3", "1-3", "3-6", "6-9", "9-12"} }

// channelsOf are the channels of each source, in the document's order. The document lists the channels only; which
// source they belong to is a guess from that order, and never a reason to refuse a row.
func channelsOf() map[string][]string {
	return map[string][]string{
		"propertyfinder": {"callTracking", "sms", "email"},
		"portal":         {"bayut", "dubizzle", "gulfNews", "justProperty", "justRentals", "otherPortal"},
		"socialMedia":    {"facebook", "twitter", "google", "linkedIn", "otherSocialMedia"},
		"online":         {"ourWebsite", "emailMarketing", "onlineMarketing", "otherOnline"},
		"offline":        {"phone", "print", "outdoor", "expo", "walkIn", "referral", "otherOffline"},
	}
}

// Modes that write a field.
var (
	wholes = []schema.Mode{schema.Create, schema.Update, schema.Upsert}
	state  = []schema.Mode{schema.Create, schema.Update, schema.Upsert, schema.Patch}
	keyed  = []schema.Mode{schema.Update, schema.Upsert, schema.Delete, schema.Patch}
	patch  = []schema.Mode{schema.Patch}
)

// must are the rules of a field that a new lead needs. A row of an upsert needs it if it makes a new lead, which shows
// only when its key was looked up.
func must() map[schema.Mode]string { return map[schema.Mode]string{schema.Create: "required"} }

func leadFields() []schema.Field {
	var all []schema.Field
	for _, part := range [][]schema.Field{personFields(), stateFields(), preferenceFields(), otherFields(), readFields()} {
		all = append(all, part...)
	}
	return all
}

func personFields() []schema.Field {
	codes, countries := countryCodes()
	return []schema.Field{
		{Name: "id", Type: schema.ID, Rules: "number,startsnotwith=0,max=18", Modes: keyed,
			In:      map[schema.Mode]string{schema.Update: "required", schema.Delete: "required", schema.Patch: "required"},
			Aliases: []string{"Lead ID"}, Doc: "the vendor's own id, digits only; an export has it", Source: srcRead, Example: "35436"},
		{Name: "title", Type: schema.Enum, Values: []string{"mr", "ms", "miss", "mrs"}, Same: map[string]string{"mr.": "mr", "ms.": "ms", "mrs.": "mrs", "mister": "mr"},
			Modes: wholes, In: must(), Aliases: []string{"Salutation"}, Doc: "form of address", Source: srcCreate + "; the choices are in Get Lead", Example: "mr"},
		{Name: "first_name", Type: schema.Text, Modes: wholes, In: must(), Aliases: []string{"Given Name", "Forename"}, Doc: "first name", Source: srcCreate, Example: "Johnny"},
		{Name: "middle_name", Type: schema.Text, Modes: wholes, Doc: "middle name", Source: srcCreate, Example: "A."},
		{Name: "last_name", Type: schema.Text, Modes: wholes, In: must(), Aliases: []string{"Surname", "Family Name"}, Doc: "last name; the document says the agent's in one place, and means the lead's", Source: srcCreate, Example: "Trump"},
		{Name: "email", Type: schema.Email, Rules: "email", Modes: wholes, Aliases: []string{"Email Address", "E-mail Address"}, Doc: "e-mail address", Source: srcCreate, Example: "johnny.t@example.com"},
		{Name: "mobile", Type: schema.Phone, Modes: wholes, In: must(), Aliases: []string{"Mobile Phone", "Mobile Number", "Mobile No", "Cell", "Cell Phone", "Phone Number"},
			Doc: "mobile phone, as text: the document gives no form, and its example is national", Source: srcCreate, Example: "+971501234567"},
		{Name: "category", Type: schema.Enum, Values: []string{"residential", "commercial"}, Modes: wholes, In: must(), Aliases: []string{"Property Category"},
			Doc: "what the lead searches for; read from the preference's type where the lead itself does not say it", Source: srcCreate + "; the choices are in the wishlist filters", Example: "residential"},
		{Name: "address", Type: schema.Text, Modes: wholes, Aliases: []string{"Street Address"}, Doc: "address", Source: srcCreate, Example: "Dubai Marina"},
		{Name: "pobox", Type: schema.Text, Modes: wholes, Aliases: []string{"PO Box", "P.O. Box", "Postal Code", "Postcode", "Zip"}, Doc: "post box or postal code, as text", Source: srcCreate, Example: "15109"},
		{Name: "city", Type: schema.Text, Modes: wholes, Doc: "city", Source: srcCreate, Example: "Dubai"},
		{Name: "country", Type: schema.Enum, Values: codes, Same: countries, Modes: wholes, In: must(),
			Doc: "country as ISO 3166-1 alpha-2; codes of three letters and English names are understood", Source: "Get Lead: the filter country (2 chars); the example has UAE", Example: "AE"},
	}
}

func stateFields() []schema.Field {
	return []schema.Field{
		{Name: "status", Type: schema.Enum, Values: statuses(), Same: spellings(statuses()), Modes: state, In: must(), Aliases: []string{"Lead Status"}, Doc: "how far it has come", Source: srcCreate + "; the choices are in Get Lead", Example: "notYetContacted"},
		{Name: "quality", Type: schema.Enum, Values: []string{"spam", "poor", "average", "good", "excellent", "hot"}, Modes: wholes, Aliases: []string{"Lead Quality"}, Doc: "how promising it is", Source: srcCreate + "; the choices are in Get Lead", Example: "good"},
		{Name: "source", Type: schema.Enum, Values: sources(), Same: spellings(sources()), Modes: wholes, In: must(), Aliases: []string{"Lead Source"}, Doc: "where it came from", Source: srcCreate + "; the choices are in Get Lead", Example: "offline"},
		{Name: "source_channel", Type: schema.Text, Modes: wholes, In: must(), Aliases: []string{"Channel", "Lead Channel"},
			Doc:    "the channel within the source: callTracking, sms, email, bayut, dubizzle, gulfNews, justProperty, justRentals, otherPortal, facebook, twitter, google, linkedIn, otherSocialMedia, ourWebsite, emailMarketing, onlineMarketing, otherOnline, phone, print, outdoor, expo, walkIn, referral, otherOffline; any text if source is other",
			Source: srcCreate + "; the choices are in Get Lead, under channel", Example: "walkIn"},
		{Name: "financial", Type: schema.Enum, Values: []string{"other", "cash", "mortgage"}, Modes: wholes, In: must(), Doc: "how it pays", Source: srcCreate + "; the choices are in Get Lead", Example: "cash"},
		{Name: "mortgage_status", Type: schema.Enum, Values: []string{"pre-approved", "in-process", "not-pre-approved"},
			Same:  map[string]string{"preapproved": "pre-approved", "pre approved": "pre-approved", "in process": "in-process", "not pre-approved": "not-pre-approved", "not pre approved": "not-pre-approved"},
			Modes: wholes, Doc: "how far its mortgage is", Source: srcCreate + "; the choices are in Get Lead", Example: "in-process"},
		{Name: "time_frame", Type: schema.Enum, Values: timeFrames(), Modes: wholes, Aliases: []string{"Timeframe"},
			Doc: "in how many months; spreadsheets turn 1-3 into a date: format the column as text", Source: srcRead + "; the request's table lacks it", Example: "1-3"},
		{Name: "user", Type: schema.Integer, Rules: "min=1", Modes: state, Aliases: []string{"User ID", "Agent ID", "Assigned User"},
			Doc: "id of the agent; needs the right lead.update.other, in a patch user.update", Source: srcCreate, Example: "1"},
	}
}

func preferenceFields() []schema.Field {
	f := []schema.Field{
		{Name: "preference.types", Type: schema.List, Rules: "dive,number,max=18", Modes: wholes, In: must(), Aliases: []string{"Property Types", "Property Type ID"}, Doc: "ids of property types, split by ;", Source: srcWish, Example: "2"},
		{Name: "preference.locations", Type: schema.List, Rules: "dive,max=100", Modes: wholes, In: must(), Aliases: []string{"Locations", "Location IDs", "Location ID"},
			Doc: "ids of locations such as are.2.15, split by ;", Source: srcWish, Example: "are.2.15"},
		{Name: "preference.amenities", Type: schema.List, Rules: "dive,number,max=18", Modes: wholes, In: must(), Aliases: []string{"Amenities", "Amenity IDs"}, Doc: "ids of amenities, split by ;", Source: srcWish, Example: "1;2"},
		{Name: "preference.offering_type", Type: schema.Enum, Values: []string{"sale", "rent"}, Modes: wholes, In: must(), Aliases: []string{"Offering Type"},
			Doc: "sale or rent", Source: "Create Lead: the example has sale; rent is a guess from the vendor's page on properties", Example: "sale"},
	}
	number := func(name, rules string, in map[schema.Mode]string, alias, doc, example string) {
		f = append(f, schema.Field{Name: "preference." + name, Type: schema.Integer, Rules: rules, In: in, Modes: wholes, Aliases: []string{alias}, Doc: doc, Source: srcWish, Example: example})
	}
	number("from_price", "min=0", must(), "Min Price", "lowest price", "120000")
	number("to_price", "min=0,gtefield=preference.from_price", must(), "Max Price", "highest price", "125000")
	number("from_size", "min=0", nil, "Min Size", "smallest size", "900")
	number("to_size", "min=0,gtefield=preference.from_size", nil, "Max Size", "largest size", "1200")
	number("from_bathroom", "min=0", nil, "Min Bathrooms", "fewest bathrooms", "2")
	number("to_bathroom", "min=0,gtefield=preference.from_bathroom", nil, "Max Bathrooms", "most bathrooms", "3")
	number("from_bedroom", "min=0", nil, "Min Bedrooms", "fewest bedrooms", "2")
	number("to_bedroom", "min=0,gtefield=preference.from_bedroom", nil, "Max Bedrooms", "most bedrooms", "3")
	return f
}

func otherFields() []schema.Field {
	ids := func(name, doc string) schema.Field {
		return schema.Field{Name: name, Type: schema.List, Rules: "dive,number,max=18", Modes: patch, NoExport: true, Doc: doc, Source: srcPatch, Example: "1;2"}
	}
	return []schema.Field{
		{Name: "notes", Type: schema.Text, Modes: wholes, Aliases: []string{"Note", "Comments", "Comment"},
			Doc: "a note: the cell is one note, whatever stands in it; a JSON array of texts makes several. It is sent with an update only if it is mapped. Exported with --expand", Source: "Create Lead: the example of the request", Example: "My note"},
		{Name: "properties", Type: schema.List, Rules: "dive,number,max=18", Modes: wholes, NoExport: true, Aliases: []string{"Property IDs", "Property ID"},
			Doc: "ids of properties that the lead has selected, split by ;", Source: "Create Lead: the example of the request", Example: "1;2;3"},
		ids("properties.add", "ids of properties to add to the lead, split by ;"),
		ids("properties.remove", "ids of properties to take from the lead, split by ;"),
		ids("mls.add", "ids of MLS listings to add to the lead, split by ;"),
		ids("mls.remove", "ids of MLS listings to take from the lead, split by ;"),
		{Name: "fields.*", Type: schema.Text, Modes: wholes,
			Doc: "a custom field of the account, by its id or its name: fields.3, fields.Number of pets; values are held against the type that the account gives it", Source: "Create Lead: fields", Example: "2 pets"},
	}
}

func readFields() []schema.Field {
	r := func(name string, t schema.Type, doc, source, example string) schema.Field {
		return schema.Field{Name: name, Type: t, ReadOnly: true, Doc: doc, Source: source, Example: example}
	}
	return []schema.Field{
		r("phone", schema.Text, "another phone", srcDTO, "043211234"),
		r("user.first_name", schema.Text, "first name of the agent; with --expand", "Get Lead: the expanded example", "Jean"),
		r("user.last_name", schema.Text, "last name of the agent; with --expand", "Get Lead: the expanded example", "Pac"),
		r("user.email", schema.Text, "e-mail address of the agent; with --expand", "guess: the expanded example breaks off before it", "jean@example.com"),
		r("preference.type_names", schema.List, "names of the property types", "Get Lead: the example of the response", "Apartment"),
		r("preference.location_names", schema.List, "names of the locations, from the smallest to the largest", "Get Lead: the example of the response", "Wind Tower 1, Lake Almas West, Jumeirah Lake Towers, Dubai"),
		r("preference.amenity_names", schema.List, "names of the amenities", "Get Lead: the example of the response", "swimming pool"),
		r("matching.count", schema.Integer, "properties that match", "Get Lead: the table of Matching", "12"),
		r("matching.inventory_count", schema.Integer, "properties of the inventory that match", "Get Lead: the table of Matching", "10"),
		r("matching.mls_count", schema.Integer, "MLS properties that match", "Get Lead: the table of Matching", "2"),
		r("bank", schema.Text, "name of the bank", srcDTO, "Emirates NBD"),
		r("passport_number", schema.Text, "passport number", srcDTO, "RDR7800"),
		r("passport_expiry_date", schema.Text, "when the passport expires, as the vendor writes it", srcDTO, "2030-01-31"),
		r("legal_representative_first_name", schema.Text, "first name of the legal representative", srcDTO, "Shi"),
		r("legal_representative_last_name", schema.Text, "last name of the legal representative", srcDTO, "Sha"),
		r("legal_representative_email", schema.Text, "e-mail address of the legal representative", srcDTO, "shi.sha@example.com"),
		r("legal_representative_mobile", schema.Text, "mobile phone of the legal representative", srcDTO, "0501234567"),
		r("created_at", schema.DateTime, "when it was created", srcRead, "2009-07-20T22:55:29Z"),
		r("updated_at", schema.DateTime, "when it was last changed", srcRead, "2011-05-05T10:38:52Z"),
	}
}
