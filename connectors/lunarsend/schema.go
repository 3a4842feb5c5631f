package lunarsend

import (
	"strconv"

	"github.com/crmetl/crmetl/schema"
)

// Settings of a connection that this package reads by name.
const (
	keyBaseURL  = "base_url"
	keyAPIKey   = "api_key"
	keyProfile  = "profile"
	keyCreate   = "paths_create"
	keySearch   = "paths_search"
	keyEdit     = "paths_edit"
	keyDelete   = "paths_delete"
	keySearchBy = "search_transport"
	keyDeleteBy = "delete_transport"
	keyNaming   = "edit_naming"
	keyEditable = "edit_fields"
	keyCompose  = "compose_name"
	keyPhone    = "phone_as"
	keyRate     = "rate"
	keyTimeout  = "timeout"

	defaultBase     = "https://lunarsend.com/api"
	defaultPath     = "/contacts"
	defaultEditable = "name,email,phone"
	defaultRate     = 2
	defaultTimeout  = "30s"
)

// contacts is the vendor's one object.
const contacts = "contacts"

// Where facts of the table come from.
const (
	srcCreate = "Creating Contacts: Fields"
	srcEmail  = "Creating Contacts: the field's name is lost in the document; the request example has it"
	srcPhone  = "Creating Contacts says Integer, and its example is the string +1234567890"
	srcEdit   = "Editing Contacts: update_fields"
	srcID     = "Creating Contacts: Returns"
	srcV2     = "the vendor's pages on v2: create and edit contact"
	srcRead   = "the vendor's page on creating contacts (2025): the answer's example"
	srcTags   = "the vendor's page on searching contacts in v2: the answer's example"
)

var (
	writes = []schema.Mode{schema.Create, schema.Update, schema.Upsert}
	keyed  = []schema.Mode{schema.Update, schema.Upsert, schema.Delete}
	eachIs = map[schema.Mode]string{schema.Create: "required", schema.Upsert: "required"}
)

// Schema returns the vendor's table: its object, fields, rules and settings.
func Schema() *schema.Vendor {
	return &schema.Vendor{
		Name:    "lunarsend",
		Title:   "Lunar Send",
		Docs:    "https://lunarsend.com/api/docs/contacts",
		Checked: "2026-11-22",
		Rate:    defaultRate,
		Workers: 4,
		Keys: []schema.ConfigKey{
			{Name: keyBaseURL, Default: defaultBase, Doc: "where the API is; with profile v2, /v2 is added unless it ends so"},
			{Name: keyAPIKey, Required: true, Secret: true, Doc: "the key that goes into the header x-api-key"},
			{Name: keyProfile, Default: profileLegacy, Doc: "which API the key is for: legacy (the document) or v2"},
			{Name: keyCreate, Default: defaultPath, Doc: "legacy: the path that contacts are created at; only this one is attested"},
			{Name: keySearch, Default: defaultPath, Doc: "legacy: the path that contacts are searched at"},
			{Name: keyEdit, Default: defaultPath, Doc: "legacy: the path that contacts are edited at"},
			{Name: keyDelete, Default: defaultPath, Doc: "legacy: the path that contacts are deleted at"},
			{Name: keySearchBy, Default: inQuery, Doc: "legacy: where a search is sent: query, body (as the document shows) or both"},
			{Name: keyDeleteBy, Doc: "where the id of a contact to delete is sent: body, query or path; not set: body, and query if the vendor does not see it there. With v2, whose pages have no delete, it must be set"},
			{Name: keyNaming, Default: namingCamel, Doc: "legacy: how an edit names its fields: camel (contactID), snake (contact_id) or both; the other one is tried if the vendor misses a field"},
			{Name: keyEditable, Default: defaultEditable, Doc: "legacy: the fields that an edit may change, with commas between them"},
			{Name: keyCompose, Default: "off", Doc: "legacy: on sends first_name and last_name of an edit as name"},
			{Name: keyPhone, Default: phoneString, Doc: "phones as string, integer (other characters than digits are lost) or auto (a number if no character is lost)"},
			{Name: keyRate, Default: strconv.Itoa(defaultRate), Doc: "requests a second that the vendor allows this account"},
			{Name: keyTimeout, Default: defaultTimeout, Doc: "of one call"},
		},
		Notes: []string{
			"The legacy API can't list contacts: an export asks for terms, and rows hold what the vendor returns, perhaps ids only.",
			"The legacy API edits name, email and phone; other columns of an update are named once and not sent.",
			"Creating and editing are both POST there. The first edit of a run goes alone and must answer with the id it was sent for; if not, the run stops.",
			"Creating is not safe to repeat. After a broken connection crmetl searches for the e-mail address before it sends anything again.",
			"The document names no paths. Only POST /api/contacts is attested by the vendor's pages; the others can be set.",
		},
		Objects: []schema.Object{contactsObject()},
	}
}

func contactsObject() schema.Object {
	return schema.Object{
		Name: contacts, Title: "Contacts",
		Doc:   "People with an e-mail address. An update changes the mapped fields only. A contact that is to be deleted and is not there counts as unchanged. Upsert compares keys without regard to case and outer blanks, phones by their digits.",
		Modes: []schema.Mode{schema.Create, schema.Update, schema.Upsert, schema.Delete},
		Export: schema.ExportInfo{All: true, ByID: true, Search: true, Terms: true,
			Doc: "all contacts with profile v2 only; legacy needs --search TERM or FIELD=TERM, which may be repeated. The vendor neither filters nor sorts"},
		KeyFields: []string{"email", "id", "phone"},
		OrderBy:   []string{"id", "email"},
		MaxBatch:  1,
		Limits: []string{
			"2 requests a second",
			"legacy: first_name, last_name, company, job_title and notes can't be edited, unless edit_fields says so",
			"v2: the vendor documents no delete",
		},
		Fields: []schema.Field{
			{Name: "id", Type: schema.ID, Modes: keyed, In: map[schema.Mode]string{schema.Update: "required", schema.Delete: "required"},
				Aliases: []string{"Contact ID", "ContactID", "Lunar Send ID"}, Doc: "the vendor's own id: 20 digits, or a UUID in v2; always text", Source: srcID, Example: "12345678901234567890"},
			{Name: "first_name", Type: schema.Text, Modes: writes, In: eachIs, Aliases: []string{"First", "Given Name", "Forename"},
				Doc: "first name", Source: srcCreate, Example: "John"},
			{Name: "last_name", Type: schema.Text, Modes: writes, Aliases: []string{"Last", "Surname", "Family Name"},
				Doc: "last name", Source: srcCreate, Example: "Doe"},
			{Name: "email", Type: schema.Email, Rules: "email", Modes: writes, In: eachIs, Aliases: []string{"Email Address", "E-mail Address", "Mail"},
				Doc: "e-mail address; v2 takes each one once", Source: srcEmail, Example: "johndoe@example.com"},
			{Name: "company", Type: schema.Text, Modes: writes, Aliases: []string{"Company Name", "Organization", "Organisation", "Account"},
				Doc: "the company that the contact works at", Source: srcCreate, Example: "Example Inc."},
			{Name: "phone", Type: schema.Phone, Modes: writes, Aliases: []string{"Phone Number", "Telephone", "Mobile"},
				Doc: "phone number, sent as text unless phone_as says otherwise", Source: srcPhone, Example: "+1234567890"},
			{Name: "job_title", Type: schema.Text, Modes: writes, Aliases: []string{"Title", "Position", "Role"},
				Doc: "job title", Source: srcCreate, Example: "Sales Manager"},
			{Name: "notes", Type: schema.Text, Modes: writes, Aliases: []string{"Note", "Comments"},
				Doc: "notes about the contact", Source: srcCreate, Example: "Interested in product demo"},
			{Name: "name", Type: schema.Text, Modes: []schema.Mode{schema.Update}, Aliases: []string{"Full Name", "Contact Name"},
				Doc: "legacy: the whole name, as an edit takes it; v2 has first_name and last_name only", Source: srcEdit, Example: "John Doe"},
			{Name: "user_id", Type: schema.ID, Modes: writes, Aliases: []string{"User ID", "Owner ID"},
				Doc: "v2: the user whom the contact belongs to", Source: srcV2, Example: "7b1f0f5e-3c56-4b7e-9a53-0d4b3d0c9a11"},
			{Name: "owner", Type: schema.Text, ReadOnly: true, Doc: "the name of the user whom the contact belongs to", Source: srcRead, Example: "Jane Roe"},
			{Name: "last_activity", Type: schema.Text, ReadOnly: true, Doc: "the last activity, as the vendor writes it", Source: srcRead, Example: "2025-07-01T10:00:00Z"},
			{Name: "created_at", Type: schema.Text, ReadOnly: true, Doc: "when the contact was created, as the vendor writes it", Source: srcRead, Example: "2025-06-30T09:00:00Z"},
			{Name: "tags", Type: schema.List, ReadOnly: true, Doc: "v2: the names of the contact's tags", Source: srcTags, Example: "VIP;Newsletter"},
		},
	}
}

// Words of settings.
const (
	profileLegacy = "legacy"
	profileV2     = "v2"

	inQuery = "query"
	inBody  = "body"
	inPath  = "path"
	inBoth  = "both"

	namingCamel = "camel"
	namingSnake = "snake"

	phoneString  = "string"
	phoneInteger = "integer"
	phoneAuto    = "auto"
)
