package mapmycustomers

import (
	"strconv"

	"github.com/crmetl/crmetl/schema"
)

// Settings of a connection that this package reads by name.
const (
	keyBaseURL    = "base_url"
	keyUsername   = "username"
	keyPassword   = "password"
	keyActivation = "token_activation"
	keyRate       = "rate"
	keyTimeout    = "timeout"
	keyMethod     = "token_method"

	defaultBase       = "https://mapmycustomers.me/api/v1"
	defaultActivation = "10s"
	defaultRate       = 3
	defaultTimeout    = "30s"
	defaultMethod     = "basic-get"
)

// Objects of the vendor.
const (
	customers    = "customers"
	routes       = "routes"
	territories  = "territories"
	updates      = "updates"
	user         = "user"
	groups       = "groups"
	customfields = "customfields"
)

// Where facts of the table come from.
const (
	srcRead   = "GET /customers: the sample record"
	srcCreate = "POST /customers: the sample payload"
	srcGuess  = "guess: the document says only that all parameters are optional and lists none; a field that reads back is taken to be writable"
	srcSystem = "GET /customers: the sample record; the vendor sets it"
	srcRoutes = "GET /routes: the sample record"
	srcTerr   = "GET /territories: the sample record"
	srcUpd    = "GET /updates: the sample record"
	srcUser   = "GET /user: the sample record"
)

var (
	writes  = []schema.Mode{schema.Create, schema.Update, schema.Upsert}
	keyed   = []schema.Mode{schema.Update, schema.Upsert, schema.Delete}
	eachNew = map[schema.Mode]string{schema.Create: "required_without=company", schema.Upsert: "required_without=company"}
)

// Schema returns the vendor's table: its objects, fields, rules and settings.
func Schema() *schema.Vendor {
	return &schema.Vendor{
		Name:    "mapmycustomers",
		Title:   "Map My Customers",
		Docs:    "https://mapmycustomers.me/api/docs/",
		Checked: "2026-11-22",
		Rate:    defaultRate,
		Keys: []schema.ConfigKey{
			{Name: keyBaseURL, Default: defaultBase, Doc: "where the API is; the vendor's own unless you reach it another way"},
			{Name: keyUsername, Required: true, Doc: "the e-mail address you sign in with"},
			{Name: keyPassword, Required: true, Secret: true, Doc: "the password of that user"},
			{Name: keyActivation, Default: defaultActivation, Doc: "how long a new token waits before the vendor takes it"},
			{Name: keyRate, Default: strconv.Itoa(defaultRate), Doc: "requests a second that the vendor allows this account"},
			{Name: keyTimeout, Default: defaultTimeout, Doc: "of one call, and of a silence within a list"},
			{Name: keyMethod, Default: defaultMethod, Doc: "how a token is asked for: basic-get, basic-post or form-post"},
		},
		Notes: []string{
			"A token is good 10 seconds after it was issued; crmetl waits for that once and keeps the token between runs.",
			"Creating a customer returns no id. After a broken connection crmetl finds out by a search whether the customer is there.",
			"Lists have no pages, filters or sorting: an export reads everything, and --since is applied on this side.",
			"A team owner sees, changes and exports the customers of the whole team.",
			"Searching covers name, company, address, city, state, zip and country; not e-mail, phone, groups, notes or custom fields.",
		},
		Objects: []schema.Object{
			customersObject(), routesObject(), territoriesObject(), updatesObject(), userObject(), groupsObject(), customfieldsObject(),
		},
	}
}

func customersObject() schema.Object {
	o := schema.Object{
		Name: customers, Title: "Customers",
		Doc:    "Pins and contacts, mapped or not. An update changes the mapped fields only. Upsert compares keys without regard to case and outer blanks, phones by their digits.",
		Modes:  []schema.Mode{schema.Create, schema.Update, schema.Upsert, schema.Delete},
		Export: schema.ExportInfo{All: true, ByID: true, Search: true, Since: "updatedAt", Doc: "the vendor neither filters nor sorts; files and custom field labels can't be read back"},
		KeyFields: []string{"email", "id", "phone", "company", "name",
			"custom0", "custom1", "custom2", "custom3", "custom4", "custom5", "custom6", "custom7", "custom8", "custom9"},
		MaxBatch: 1,
		Limits: []string{
			"3 requests a second",
			"a file is an image (PNG, JPEG, GIF, WebP) or a PDF of at most 5 MB (5,000,000 bytes)",
			"a name or a company is needed to create a customer",
		},
		Fields: []schema.Field{
			{Name: "id", Type: schema.ID, Modes: keyed, In: map[schema.Mode]string{schema.Update: "required", schema.Delete: "required"},
				Aliases: []string{"Company ID", "Customer ID", "Object ID"}, Doc: "the vendor's own id, ten letters and digits; it comes from an export, creating does not return it",
				Source: srcRead, Example: "rSOUoiTGTh"},
			{Name: "name", Type: schema.Text, Modes: writes, In: eachNew,
				Aliases: []string{"Contact", "Contact Name", "Full Name", "Person"}, Doc: "the contact's name; a new customer has this or a company",
				Source: "POST /customers: at least a company or contact name", Example: "Jim Miller"},
			{Name: "company", Type: schema.Text, Modes: writes,
				Aliases: []string{"Company Name", "Account", "Account Name", "Business"}, Doc: "the company; a new customer has this or a name",
				Source: "POST /customers: at least a company or contact name", Example: "Miller Hardware"},
			{Name: "address", Type: schema.Text, Modes: writes, Aliases: []string{"Street", "Street Address", "Address 1"}, Doc: "street and number", Source: srcCreate, Example: "6399 Ridge Road"},
			{Name: "city", Type: schema.Text, Modes: writes, Aliases: []string{"Town"}, Doc: "the city", Source: srcCreate, Example: "Sharon Center"},
			{Name: "state", Type: schema.Text, Modes: writes, Aliases: []string{"Province", "Region"}, Doc: "state or region; the samples write it in full", Source: srcCreate, Example: "Ohio"},
			{Name: "zip", Type: schema.Text, Modes: writes, Aliases: []string{"Zip Code", "Postal Code", "Postcode"}, Doc: "postal code, as text: leading zeros stay", Source: srcGuess, Example: "44274"},
			{Name: "country", Type: schema.Text, Modes: writes, Doc: "the country; the samples write it in full", Source: srcGuess, Example: "United States"},
			{Name: "email", Type: schema.Email, Rules: "email", Modes: writes, Aliases: []string{"Email Address"}, Doc: "e-mail address; the vendor's search does not look at it", Source: srcGuess, Example: "jim@miller.example"},
			{Name: "phone", Type: schema.Phone, Modes: writes, Aliases: []string{"Phone Number", "Telephone", "Mobile"}, Doc: "phone number, as text", Source: srcGuess, Example: "432-456-7891"},
			{Name: "color", Type: schema.Enum, Values: colours(), Same: map[string]string{"gray": "grey"}, Modes: writes,
				Aliases: []string{"Colour", "Pin Color", "Pin Colour"}, Doc: "the pin's colour", Source: "GET /user: colors", Example: "red"},
			{Name: "groups", Type: schema.List, Modes: writes, Aliases: []string{"Group", "Tags"}, Doc: "the groups that the customer belongs to, in one cell split by ;", Source: srcGuess, Example: "SC;New Leads"},
			{Name: "dealAmount", Type: schema.Number, Modes: writes, Aliases: []string{"Deal", "Amount", "Deal Size"}, Doc: "amount of the deal", Source: srcGuess, Example: "1250.50"},
			{Name: "notes", Type: schema.Text, Modes: writes, Aliases: []string{"Note", "Comments"}, Doc: "a note; on an update each value adds one more note", Source: "POST and PUT /customers", Example: "good lead, should call again"},
			{Name: "latitude", Type: schema.Number, Rules: "latitude", Modes: writes, Aliases: []string{"Lat"}, Doc: "where the pin stands; leave it out to have the address looked up", Source: srcGuess, Example: "33.43213"},
			{Name: "longitude", Type: schema.Number, Rules: "longitude", Modes: writes, Aliases: []string{"Lng", "Long"}, Doc: "where the pin stands; leave it out to have the address looked up", Source: srcGuess, Example: "-79.13183"},
			{Name: "lastVisit", Type: schema.Epoch, Modes: writes, Doc: "time of the last visit; whether the vendor lets it be set is not documented", Source: srcGuess, Example: "2016-05-26T20:52:46Z"},
			{Name: "numVisits", Type: schema.Integer, Modes: writes, Doc: "number of visits; whether the vendor lets it be set is not documented", Source: srcGuess, Example: "3"},
			{Name: "remindAt", Type: schema.Epoch, Modes: writes, Doc: "time of the next reminder", Source: srcGuess, Example: "2016-06-17T00:49:42Z"},
			{Name: "remindType", Type: schema.Text, Modes: writes, Doc: "what the reminder is about", Source: srcGuess, Example: "Visit Again"},
		},
	}
	for i := range 10 {
		n := strconv.Itoa(i)
		o.Fields = append(o.Fields, schema.Field{Name: "custom" + n, Type: schema.Text, Modes: writes, Aliases: []string{"Custom Field " + n},
			Doc: "custom field in slot " + n + "; its label is set by an import of customfields and can't be read back", Source: srcGuess, Example: "A" + n})
	}
	o.Fields = append(o.Fields,
		schema.Field{Name: fieldFile, Type: schema.File, Modes: []schema.Mode{schema.Create}, NoExport: true, Aliases: []string{"Attachment"},
			Doc: "an image or PDF to attach: a path below the attachments folder, at most 5,000,000 bytes", Source: "POST /customers: file; whether 5MB counts before or after base64 is not stated, taken as before", Example: "contracts/miller.pdf"},
		schema.Field{Name: "createdAt", Type: schema.DateTime, ReadOnly: true, Doc: "when the customer was created", Source: srcSystem, Example: "2016-05-21T02:27:42Z"},
		schema.Field{Name: "updatedAt", Type: schema.DateTime, ReadOnly: true, Doc: "when the customer was last changed", Source: srcSystem, Example: "2016-05-24T04:28:39Z"},
	)
	return o
}

// colours are the pin colours of the vendor's sample user.
func colours() []string {
	return []string{"black", "green", "blue", "grey", "orange", "pink", "purple", "red", "teal", "yellow",
		"neon red", "neon yellow", "neon green", "neon blue", "neon purple"}
}

func routesObject() schema.Object {
	return schema.Object{
		Name: routes, Title: "Routes",
		Doc:      "Routes through customers that exist already. Rows with one routeName make one route, a customer a row in file order; or one row has all customerIds. An exported route lists points, not customers, so an export can't be imported as it is.",
		Modes:    []schema.Mode{schema.Create},
		Export:   schema.ExportInfo{All: true, Since: "updatedAt"},
		MaxBatch: 1,
		GroupBy:  "routeName",
		Limits:   []string{"3 requests a second", "the customers must exist for the signed-in user"},
		Fields: []schema.Field{
			{Name: "routeName", Type: schema.Text, NoExport: true, In: map[schema.Mode]string{schema.Create: "required"}, Aliases: []string{"Route"},
				Doc: "the new route's name; rows with the same name are one route", Source: "POST /routes: the sample payload", Example: "my-route-name"},
			{Name: "customerId", Type: schema.ID, NoExport: true, In: map[schema.Mode]string{schema.Create: "required_without=customerIds"}, Aliases: []string{"Customer", "Company ID", "Object ID"},
				Doc: "id of one customer on the route", Source: "POST /routes: customerIds", Example: "Amy5CnIySf"},
			{Name: "customerIds", Type: schema.List, NoExport: true, Doc: "ids of the customers on the route, in order, in one cell split by ;",
				Source: "POST /routes: the sample payload", Example: "Amy5CnIySf;Nk3vFYz1gJ"},
			{Name: "id", Type: schema.ID, ReadOnly: true, Doc: "the route's id", Source: srcRoutes, Example: "h8e44x3Ope"},
			{Name: "name", Type: schema.Text, ReadOnly: true, Doc: "the route's name", Source: srcRoutes, Example: "east half"},
			{Name: "points", Type: schema.List, ReadOnly: true, Doc: "the points of the route, each latitude,longitude", Source: srcRoutes, Example: "35.37376,-89.87562;35.20126,-87.02965"},
			{Name: "createdAt", Type: schema.DateTime, ReadOnly: true, Doc: "when it was created", Source: srcRoutes, Example: "2016-05-06T23:32:06Z"},
			{Name: "updatedAt", Type: schema.DateTime, ReadOnly: true, Doc: "when it was last changed", Source: srcRoutes, Example: "2016-05-25T00:47:46Z"},
		},
	}
}

func territoriesObject() schema.Object {
	return schema.Object{
		Name: territories, Title: "Territories", Doc: "Territories; the vendor offers them for reading only.",
		Export: schema.ExportInfo{All: true, Since: "updatedAt", Shape: "polygon"},
		Fields: []schema.Field{
			{Name: "id", Type: schema.ID, ReadOnly: true, Doc: "the territory's id", Source: srcTerr, Example: "h8e44x3Ope"},
			{Name: "name", Type: schema.Text, ReadOnly: true, Doc: "the territory's name", Source: srcTerr, Example: "Southern Track"},
			{Name: "points", Type: schema.List, ReadOnly: true, Doc: "the points of its outline, each latitude,longitude", Source: srcTerr, Example: "35.692130,-105.939590"},
			{Name: "createdAt", Type: schema.DateTime, ReadOnly: true, Doc: "when it was created", Source: srcTerr, Example: "2016-05-06T23:32:06Z"},
			{Name: "updatedAt", Type: schema.DateTime, ReadOnly: true, Doc: "when it was last changed", Source: srcTerr, Example: "2016-05-25T00:47:46Z"},
		},
	}
}

func updatesObject() schema.Object {
	return schema.Object{
		Name: updates, Title: "Updates", Doc: "What was done in the account: imports, notes and other activities. The document does not list the types; they are exported as they come.",
		Export: schema.ExportInfo{All: true, Since: "createdAt"},
		Fields: []schema.Field{
			{Name: "username", Type: schema.Text, ReadOnly: true, Doc: "who did it", Source: srcUpd, Example: "test@tester.com"},
			{Name: "customerId", Type: schema.ID, ReadOnly: true, Doc: "the customer it was done to; empty if it was none in particular", Source: srcUpd, Example: "jl9xPVuk6z"},
			{Name: "type", Type: schema.Text, ReadOnly: true, Doc: "what was done, such as import or addedNote", Source: srcUpd, Example: "addedNote"},
			{Name: "notes", Type: schema.Text, ReadOnly: true, Doc: "more about it, depending on the type", Source: srcUpd, Example: "Good chat with Jim about next steps."},
			{Name: "platform", Type: schema.Text, ReadOnly: true, Doc: "where it was done, such as web", Source: srcUpd, Example: "web"},
			{Name: "createdAt", Type: schema.DateTime, ReadOnly: true, Doc: "when it was done", Source: srcUpd, Example: "2018-01-04T19:39:34Z"},
		},
	}
}

func userObject() schema.Object {
	return schema.Object{
		Name: user, Title: "User", Doc: "The signed-in user and the account's limits: one row.",
		Export: schema.ExportInfo{All: true},
		Fields: []schema.Field{
			{Name: "username", Type: schema.Text, ReadOnly: true, Doc: "the e-mail address that signs in", Source: srcUser, Example: "jack@gmail.com"},
			{Name: "name", Type: schema.Text, ReadOnly: true, Doc: "the user's name", Source: srcUser, Example: "jack daniels"},
			{Name: "phone", Type: schema.Text, ReadOnly: true, Doc: "the user's phone", Source: srcUser, Example: "432-456-7891"},
			{Name: "numPins", Type: schema.Integer, ReadOnly: true, Doc: "how many pins the account may have", Source: "guess: the sample's 50000 looks like a limit, not a count", Example: "50000"},
			{Name: "colors", Type: schema.List, ReadOnly: true, Doc: "the colours a pin can have", Source: srcUser, Example: "black;green;blue"},
			{Name: "numGroups", Type: schema.Integer, ReadOnly: true, Doc: "how many groups the account may have", Source: "guess: the sample's 500 stands next to three groups", Example: "500"},
			{Name: "groups", Type: schema.List, ReadOnly: true, Doc: "the groups of the account", Source: srcUser, Example: "Ohio;Latest Finds;Pittsburgh"},
			{Name: "hiddenGroups", Type: schema.List, ReadOnly: true, Doc: "groups that are not shown", Source: srcUser, Example: "Old"},
			{Name: "requiredGroups", Type: schema.List, ReadOnly: true, Doc: "groups that must be kept", Source: srcUser, Example: "Ohio"},
			{Name: "createdAt", Type: schema.DateTime, ReadOnly: true, Doc: "when the user was created", Source: srcUser, Example: "2014-12-18T17:32:32Z"},
			{Name: "updatedAt", Type: schema.DateTime, ReadOnly: true, Doc: "when the user was last changed", Source: srcUser, Example: "2016-05-26T18:11:03Z"},
		},
	}
}

func groupsObject() schema.Object {
	return schema.Object{
		Name: groups, Title: "Groups",
		Doc:     "The account's groups, one a row. An import replaces all of them by those of the file: a group that is not in the file is gone. The difference is shown first, and --yes is needed.",
		Modes:   []schema.Mode{schema.Replace},
		Confirm: []schema.Mode{schema.Replace},
		Export:  schema.ExportInfo{All: true, Doc: "read from user"},
		GroupBy: "*",
		Limits:  []string{"groups that the account requires must be in the file"},
		Fields: []schema.Field{
			{Name: "group", Type: schema.Text, In: map[schema.Mode]string{schema.Replace: "required"}, Aliases: []string{"Groups", "Group Name", "Name"},
				Doc: "one group's name; case counts", Source: "PUT /user/groups: the sample payload", Example: "New Leads"},
		},
	}
}

func customfieldsObject() schema.Object {
	return schema.Object{
		Name: customfields, Title: "Custom field labels",
		Doc:     "The labels of custom0 to custom9. The whole file is one call; the vendor offers no way to read the labels back, so --yes is needed.",
		Modes:   []schema.Mode{schema.Update},
		Confirm: []schema.Mode{schema.Update},
		GroupBy: "*",
		Limits:  []string{"ten slots, 0 to 9, each with one label"},
		Fields: []schema.Field{
			{Name: "label", Type: schema.Text, NoExport: true, In: map[schema.Mode]string{schema.Update: "required"}, Aliases: []string{"Name", "Field", "Custom Field"},
				Doc: "the label that people see", Source: "PUT /user/customfields: the sample payload", Example: "birthday"},
			{Name: "slot", Type: schema.Integer, Rules: "min=0,max=9", NoExport: true, In: map[schema.Mode]string{schema.Update: "required"}, Aliases: []string{"Number", "Index"},
				Doc: "0 to 9: the label is for custom0 to custom9", Source: "guess: the sample maps labels to 0, 1 and 2, and customers have custom0 to custom9", Example: "0"},
		},
	}
}
