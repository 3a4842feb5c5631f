package mycrm

import (
	"slices"
	"strings"
	"unicode"

	"github.com/biter777/countries"

	"github.com/crmetl/crmetl/schema"
)

// Settings of a connection that this package reads by name.
const (
	keyBaseURL   = "base_url"
	keyTokenURL  = "token_url"
	keyAuth      = "auth"
	keyAPIKey    = "api_key"
	keyAPISecret = "api_secret"
	keyToken     = "token"
	keyDomain    = "domain"
	keyUsername  = "username"
	keyPassword  = "password"
	keyRate      = "rate"
	keyTimeout   = "timeout"

	keyEnvelope        = "envelope"
	keyPreferenceKey   = "preference_key"
	keyPreferenceShape = "preference_shape"
	keyOfferingTypeAt  = "offering_type_at"
	keyChannelKey      = "channel_key"
	keyUpdateMode      = "update_mode"
	keyDeletePath      = "delete_path"
	keyExpandValue     = "expand_value"
	keyVerify          = "verify"

	defaultBase    = "https://api-v2.mycrm.com"
	defaultToken   = "https://auth.propertyfinder.com/auth/oauth/v1/token"
	defaultTimeout = "30s"
	defaultExpand  = "true"
)

// leads is the vendor's only object here.
const leads = "leads"

// bulkDelete is the option that lets a delete name many leads in one call.
const bulkDelete = "bulk-delete"

// What one call takes at most, in operations of a patch and ids of a delete; the document says nothing about either.
const (
	patchBatch  = 50
	deleteBatch = 100
	workers     = 4
)

// Schema returns the vendor's table: its object, fields, rules and settings.
func Schema() *schema.Vendor {
	return &schema.Vendor{
		Name:    "mycrm",
		Title:   "MyCRM",
		Docs:    "https://expert.propertyfinder.ae/documentation/leads/",
		Checked: "2026-11-22",
		Workers: workers,
		Keys: []schema.ConfigKey{
			{Name: keyBaseURL, Default: defaultBase, Doc: "where the API is"},
			{Name: keyTokenURL, Default: defaultToken, Doc: "where tokens are issued; with auth password it is base_url/token"},
			{Name: keyAuth, Default: authClient, Doc: "how to sign in: client_credentials (api_key and api_secret), password (domain, username and password) or static (token, which implies it)"},
			{Name: keyAPIKey, Doc: "the key of your integration"},
			{Name: keyAPISecret, Secret: true, Doc: "the secret of your integration"},
			{Name: keyToken, Secret: true, Doc: "a bearer token that is sent as it is, instead of a key and a secret"},
			{Name: keyDomain, Doc: "with auth password: the company's domain"},
			{Name: keyUsername, Doc: "with auth password: who signs in"},
			{Name: keyPassword, Secret: true, Doc: "with auth password: the password of that user"},
			{Name: keyRate, Doc: "requests a second that the vendor allows this account; it documents no limit"},
			{Name: keyTimeout, Default: defaultTimeout, Doc: "of one call"},
			{Name: keyEnvelope, Default: "true", Doc: "true writes {\"lead\":{…}}, false the lead alone; the document shows the first"},
			{Name: keyPreferenceKey, Default: "preference", Doc: "the key that the preference is written under: preference or preferences; the document uses both"},
			{Name: keyPreferenceShape, Default: "object", Doc: "object or array: the document's table and its example differ"},
			{Name: keyOfferingTypeAt, Default: "both", Doc: "where offering_type is written: preference (the table), lead (the example) or both"},
			{Name: keyChannelKey, Default: "source_channel", Doc: "source_channel (create), channel (read) or both"},
			{Name: keyUpdateMode, Default: updateWhole, Doc: "read-modify-write sends the whole lead with the row's fields laid over it; sparse sends the row's fields alone, and may clear the others"},
			{Name: keyDeletePath, Default: pathAuto, Doc: "plural (/leads/1), singular (/lead/1, as documented), or auto: plural, and singular where that does not exist"},
			{Name: keyExpandValue, Default: defaultExpand, Doc: "the value of the header X-MyCRM-Expand-Data; the document names none"},
			{Name: keyVerify, Default: verifyAll, Doc: "which leads are read back after a bulk patch, whose answer says nothing about single leads: all reads every lead (one that does not show the patch is sent alone), first those of a run's first bulk patch, after which the answers are trusted, none reads none"},
		},
		Notes: []string{
			"A token is good for 30 minutes; crmetl renews it in time, without a pause, and keeps it between runs.",
			"The address http:// of the document is not used: the token would travel in the clear.",
			"An HTML page with status 403 comes from the firewall before the API and says nothing about rights.",
			"The vendor's successor, the Property Finder Enterprise API, is another API: accounts that were moved there have no api-v2.",
		},
		Objects: []schema.Object{leadsObject()},
	}
}

func leadsObject() schema.Object {
	return schema.Object{
		Name: leads, Title: "Leads",
		Doc: "People who look for a property. An update reads the lead, lays the row's fields over it and sends the whole, since the vendor documents that an update has the mandatory fields of a create; " +
			"notes and properties go with an update only if they are mapped, as the document does not say whether an update replaces or adds them; if the first lead with notes has lost them after its update, they are written again and the run stops, unless properties are mapped. " +
			"An upsert needs its key alone for a lead that is there, and the fields of a create for a new one. In modes update and upsert a default fills only a field in which the lead has nothing. " +
			"An upsert by mobile compares the digits of the numbers without the + or 00 before the country's code: +971 55 999 1234, 00971-55-999-1234 and 971559991234 are one number; a national number such as 055 999 1234 is another, as its country would be a guess. " +
			"The vendor is searched for several spellings, among them the last 4 digits, which find a spelling that has these together; an upsert by e-mail compares without regard to case. More than one lead with the key is a refusal of the row. " +
			"A lead that is to be deleted and is not there counts as unchanged. A delete is a call for each lead: DELETE /leads without ids, or with a body that was lost on the way, deletes all leads of the account, and no harmless call can prove that bodies arrive. " +
			"With --bulk-delete, such a call is therefore made only for a batch that names every lead the account has; others are deleted one by one, and the run says so.",
		SoftDefaults: true,
		Modes:        []schema.Mode{schema.Create, schema.Update, schema.Upsert, schema.Delete, schema.Patch},
		Export:       exportInfo(),
		KeyFields:    []string{"mobile", "email", "id"},
		MaxBatch:     1,
		Batches:      map[schema.Mode]int{schema.Patch: patchBatch},
		OrderBy:      []string{"id", "mobile", "email"},
		Options: []schema.Option{{Name: bulkDelete, Modes: []schema.Mode{schema.Delete}, Batch: deleteBatch,
			Doc: "delete up to 100 leads in one call, where the rows of the call are all leads that the account has; other leads are deleted one by one"}},
		Fields: leadFields(),
		Limits: []string{
			"the vendor documents no rate; crmetl makes 4 calls at once",
			"a bulk patch has at most 50 operations, and never the wildcard *",
			"a new lead needs title, first and last name, mobile, category, country, status, source, source_channel, financial and a preference with types, locations, prices, offering_type and amenities",
			"creating, changing and deleting need the right lead.update; another user's lead lead.update.other; assigning an agent user.update; properties property.read",
		},
	}
}

func exportInfo() schema.ExportInfo {
	f := func(name, doc string) schema.Filter { return schema.Filter{Name: name, Doc: doc} }
	return schema.ExportInfo{
		All: true, ByID: true, Expand: true, Since: "updated_at",
		Doc:   "every filter of the document can be used; one it does not name is passed as it is, as filters[NAME]. --expand adds user.* and notes",
		Sorts: []string{"id", "last_name", "email", "mobile", "user", "status", "created", "size", "type", "time_frame", "price"},
		Filters: []schema.Filter{
			f("query", "id, last name, first name, mobile and e-mail"), f("id", "the lead's id"), f("name", "last name, first name"),
			f("mobile", "mobile phone"), f("user", "id of the assigned agent"), f("excluded_user", "all but this agent's"),
			f("status", "as the field"), f("source", "as the field"), f("channel", "as the field source_channel; must belong to source, if that is given"),
			f("property", "id of a property that the lead has selected"),
			f("created", "an interval by name: current_month"), f("created.from", "a day, 2016-01-01"), f("created.to", "a day, 2017-01-01"),
			f("updated", "an interval by name: current_month"), f("updated.from", "a day"), f("updated.to", "a day"),
			f("legal_representative.name", "last name, first name"), f("legal_representative.mobile", "mobile or phone"), f("legal_representative.email", "e-mail"),
			f("passport", "passport number"), f("passport_expire", "an interval by name"), f("passport_expire.from", "a day"), f("passport_expire.to", "a day"),
			f("time_frame_from", "an interval by name"), f("time_frame_from.from", "a day"), f("time_frame_from.to", "a day"),
			f("financial", "as the field"), f("mortgage_status", "as the field"), f("bank", "name of the bank"), f("quality", "as the field"),
			f("address", ""), f("pobox", ""), f("city", ""), f("country", "two letters"),
			f("property_fields.*", "a custom field of properties by its id: property_fields.1=x"), f("lead_fields.*", "a custom field of leads by its id: lead_fields.2=x"),
			f("wishlist.locations", "ids of locations, split by ;"), f("wishlist.from_price", ""), f("wishlist.to_price", ""),
			f("wishlist.from_size", ""), f("wishlist.to_size", ""), f("wishlist.from_bathroom", ""), f("wishlist.to_bathroom", ""),
			f("wishlist.from_bedroom", ""), f("wishlist.to_bedroom", ""), f("wishlist.category", "residential or commercial"),
			f("wishlist.types", "ids of property types, split by ;"),
		},
	}
}

// spellings are what people write for the vendor's camelCase names: "Not yet contacted", not_yet_contacted.
func spellings(values []string) map[string]string {
	same := map[string]string{}
	for _, v := range values {
		var words []string
		start := 0
		for i, r := range v {
			if i > 0 && unicode.IsUpper(r) {
				words, start = append(words, strings.ToLower(v[start:i])), i
			}
		}
		if words = append(words, strings.ToLower(v[start:])); len(words) > 1 {
			for _, sep := range []string{" ", "_", "-"} {
				same[strings.Join(words, sep)] = v
			}
		}
	}
	return same
}

// countryCodes are the codes of ISO 3166-1 alpha-2, and what else means them: codes of three letters, English names.
func countryCodes() (codes []string, same map[string]string) {
	same = map[string]string{"UAE": "AE", "Emirates": "AE", "U.A.E.": "AE", "The United Arab Emirates": "AE", "KSA": "SA", "Kingdom of Saudi Arabia": "SA",
		"UK": "GB", "Great Britain": "GB", "England": "GB", "Scotland": "GB", "Wales": "GB", "United Kingdom": "GB", "USA": "US", "United States": "US",
		"United States of America": "US", "Russia": "RU", "Russian Federation": "RU", "Syria": "SY", "Iran": "IR", "Vietnam": "VN", "South Korea": "KR",
		"Turkey": "TR", "Türkiye": "TR", "Czech Republic": "CZ", "Czechia": "CZ", "Palestine": "PS"}
	for _, c := range countries.All() {
		code := c.Alpha2()
		if !c.IsValid() || len(code) != 2 || code == "AN" { // of which there is none any more
			continue
		}
		codes = append(codes, code)
		same[c.Alpha3()] = code
		same[c.String()] = code
	}
	slices.Sort(codes)
	return codes, same
}
