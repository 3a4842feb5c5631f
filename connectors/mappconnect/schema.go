package mappconnect

import "github.com/crmetl/crmetl/schema"

// Settings of a connection that this package reads by name.
const (
	keyBaseURL     = "base_url"
	keyIntegration = "integration_id"
	keySecret      = "secret"
	keyExpUnit     = "exp_unit"
	keyTTL         = "token_ttl"
	keyBatchSize   = "batch_size"
	keyBatchBytes  = "batch_bytes"
	keySubtypes    = "subtype_names"
	keyFields      = "field_names"
	keyNumbers     = "number_type"
	keyFlags       = "flag_type"
	keyEmpty       = "empty"
	keyRate        = "rate"
	keyTimeout     = "timeout"
	keyRefusals    = "refusal_limit"

	defaultTTL     = "600s"
	defaultTimeout = "30s"
)

// Objects of the vendor. Those that are imported are subtypes of events.
const (
	objUser        = "user"
	objEmail       = "email"
	objSMS         = "sms"
	objPush        = "push"
	objTransaction = "transaction"
	objProduct     = "product"
	objCart        = "abandonedcart"
	objWishlist    = "wishlist"
	objBrowse      = "browse"
	objRecommended = "recommendedproduct"
	objCoupon      = "coupon"
	objRelated     = "relateddata"
	objAutomation  = "automation"

	objGroups       = "groups"
	objMessages     = "messages"
	objPushMessages = "push-messages"
	objSMSMessages  = "sms-messages"
	objApps         = "mobile-apps"
	objConnect      = "connect"
)

// Fields that this package reads by name.
const (
	fieldEmail      = "email"
	fieldUserID     = "userId"
	fieldMobile     = "mobileNumber"
	fieldExternal   = "externalID"
	fieldRecipient  = "recipientId"
	fieldSMSNumber  = "recipientMobileNumber"
	fieldGroup      = "group"
	fieldMessage    = "messageId"
	fieldPush       = "pushMessageId"
	fieldDelete     = "delete"
	fieldPartial    = "partialUpdate"
	fieldOrder      = "orderId"
	fieldItems      = "items"
	fieldCreated    = "createdAt"
	fieldOrdered    = "transaction_date"
	fieldMode       = "importMode"
	fieldAttributes = "attributes"
	fieldFilter     = "filter"
)

// Options: flags of import and plan.
const (
	optGroupSend = "allow-group-send"
	optNonUnique = "allow-nonunique-id"
	optPartial   = "partial-update"
	optReplace   = "rd-replace"
	optDeleteAll = "rd-delete-all-for-key"
)

// maxBatch is how many events a batch holds at most: the vendor discards a longer one whole.
const maxBatch = 1000

// Where facts of the table come from.
const (
	srcUser        = "Add a user and subscribe to the group; Remove a user: the examples"
	srcEmail       = "Send a single message with parameters: the example"
	srcSMS         = "Send a prepared SMS message: 'email', 'recipientMobileNumber' or 'recipientId' as an identifier"
	srcPush        = "Send prepared Push message to a user with parameters"
	srcTransaction = "Save transaction details in the Transactions eCommerce table: the example"
	srcProduct     = "Product Catalog: the examples"
	srcCart        = "Abandoned Cart / Wishlist / Browse: the examples"
	srcOtherID     = "Abandoned Cart / Wishlist / Browse: userId or mobileNumber instead of email; the vendor's page on identifiers has them for other events too"
	srcRecommended = "Recommended product: the examples"
	srcCoupon      = "Add a single coupon code: the example"
	srcRelated     = "Related Data: mandatory and optional parameters"
	srcFlags       = "the vendor's public integrations send it; the document does not name it"
	srcAutomation  = "the vendor's public SDKs have it; the document does not name it"
	srcIdentifiers = "the vendor's page on user identifiers; not unique"
	srcShops       = "the vendor's public shop integrations send it"
	srcList        = "GET: the list of methods; the answer maps ids to names"
	srcConnect     = "POST connect as a public shop integration reads it; what GET answers is not documented"
)

var (
	upserts = []schema.Mode{schema.Upsert}
	stores  = []schema.Mode{schema.Upsert, schema.Delete}
	sends   = []schema.Mode{schema.Send}
)

// in returns one rule for several modes.
func in(rule string, modes ...schema.Mode) map[schema.Mode]string {
	m := make(map[schema.Mode]string, len(modes))
	for _, mode := range modes {
		m[mode] = rule
	}
	return m
}

// Schema returns the vendor's table: its objects, fields, rules and settings.
func Schema() *schema.Vendor {
	v := &schema.Vendor{
		Name:    "mappconnect",
		Title:   "Mapp Connect",
		Docs:    "https://docs.mapp.com/docs/api-endpoints",
		Checked: "2026-11-22",
		Workers: 4,
		Keys: []schema.ConfigKey{
			{Name: keyBaseURL, Required: true, Doc: "where the API is: eu-l3, us-l3, emc or emc-us, or a URL such as https://jamie.g.shortest-route.com/charon/api/v1"},
			{Name: keyIntegration, Required: true, Doc: "id of the integration (of type Generic), a UUID"},
			{Name: keySecret, Required: true, Secret: true, Doc: "the integration's secret key, as text"},
			{Name: keyExpUnit, Default: unitAuto, Doc: "what a token's expiry is written in: s, ms or auto, which tries seconds and then milliseconds"},
			{Name: keyTTL, Default: defaultTTL, Doc: "how long a token is good for; each call has its own"},
			{Name: keyBatchSize, Default: "1000", Doc: "events in one call at most; the vendor takes up to 1000"},
			{Name: keyBatchBytes, Default: "1048576", Doc: "bytes of one call's body at most; the vendor documents no limit"},
			{Name: keyRefusals, Default: "60", Doc: "after so many events in a row that the vendor refuses in the same words the run stops, resumable, with their rows still open; 20 at most while nothing was taken, and 200 refused calls in a row stop it too; 0: never"},
			{Name: keySubtypes, Doc: "other names of subtypes in calls, as in browse=abandonedbrowse,relateddata=relatedData"},
			{Name: keyFields, Doc: "other names of fields in calls, as in email=mail,userId=userID: they must be the names of the integration's mapping"},
			{Name: keyNumbers, Default: asString, Doc: "numbers as string or number; the document's examples have strings"},
			{Name: keyFlags, Default: asString, Doc: "flags and other booleans as string or boolean; the document's examples have strings"},
			{Name: keyEmpty, Default: emptyNull, Doc: "what clears a field with --blank clear: null, or \"\" for an empty text; what the vendor makes of either is not documented"},
			{Name: keyTimeout, Default: defaultTimeout, Doc: "of one call"},
		},
		Notes: []string{
			"The vendor takes events for processing and says no more: accepted does not mean applied. Unknown contacts, messages and fields show later in its own feedback, or never.",
			"The names of fields are those of the integration's mapping. Every name can be changed with field_names; columns that are no fields pass under their own names.",
			"The names of the subtypes for browse and related data are not documented; crmetl uses " + guessedBrowse + " and " + guessedRelated + " and says so.",
			"Contacts, transactions and other data can't be exported: the API offers none of them.",
			"What sends a message (email, sms, push, automation, and events with messageId) is never sent twice: a call whose answer is lost leaves its rows unsure.",
			"The vendor documents no limit of its rate. A call that it throttles is repeated more slowly.",
		},
		Objects: []schema.Object{
			userObject(), emailObject(), smsObject(), pushObject(), transactionObject(), productObject(),
			visitObject(objCart, "Abandoned carts", "Products that contacts left in their carts."),
			visitObject(objWishlist, "Wishlists", "Products that contacts put on their wishlists."),
			visitObject(objBrowse, "Abandoned browse", "Products that contacts looked at and left; kept for 30 days."),
			recommendedObject(), couponObject(), relatedObject(), automationObject(),
			listObject(objGroups, "Groups", "The groups that contacts can be subscribed to.", "2324333335", "Customers"),
			listObject(objMessages, "E-mail messages", "Prepared e-mail messages.", "9634", "Order confirmation"),
			listObject(objPushMessages, "Push messages", "Prepared push messages (templates).", "1234", "Spring sale"),
			listObject(objSMSMessages, "SMS messages", "Prepared SMS messages.", "7001", "Delivery today"),
			listObject(objApps, "Mobile apps", "Apps that push messages can go to.", "5678", "Shop for iOS"),
			connectObject(),
		},
	}
	return v
}

// contact returns the fields that say who an event is about. rule is what email must meet for the modes.
func contact(rule string, modes ...schema.Mode) []schema.Field {
	fields := []schema.Field{
		{Name: fieldEmail, Type: schema.Email, Rules: "email", Aliases: []string{"Email Address", "E-mail Address"},
			Doc: "the contact's e-mail address", Source: "all examples", Example: "john.smith@example.com"},
		{Name: fieldUserID, Type: schema.ID, Doc: "the contact's id at Mapp Engage; goes before the other identifiers", Source: srcOtherID, Example: "1234567890"},
		{Name: fieldMobile, Type: schema.Phone, Doc: "the contact's mobile number, with country code", Source: srcOtherID, Example: "+48666777888"},
	}
	if rule != "" {
		fields[0].In = in(rule, modes...)
	}
	return fields
}

const byContact = "required_without_all=" + fieldUserID + " " + fieldMobile

// deleteField is the flag that removes what the other fields name.
func deleteField(source string) schema.Field {
	return schema.Field{Name: fieldDelete, Type: schema.Bool, Modes: stores, Doc: "true removes it; false is not sent. Mode delete sets it", Source: source, Example: "true"}
}

func message(doc string) schema.Field {
	return schema.Field{Name: fieldMessage, Type: schema.ID, Modes: []schema.Mode{schema.Upsert, schema.Send}, Aliases: []string{"Message"},
		Doc: doc, Source: srcEmail, Example: "2324333335"}
}

func eventObject(name, title, doc string, modes []schema.Mode, fields ...schema.Field) schema.Object {
	return schema.Object{
		Name: name, Title: title, Doc: doc, Modes: modes, MaxBatch: maxBatch, AnyField: true, Fields: fields,
		OrderBy: []string{fieldEmail, fieldUserID, fieldMobile},
		Limits:  []string{"1000 events in one call; the vendor discards a longer one whole"},
	}
}

func userObject() schema.Object {
	o := eventObject(objUser, "Contacts",
		"Contacts and their attributes. An upsert adds a contact to the group, or changes one that is there; delete removes it. One of userId, email and mobileNumber says who it is.", stores)
	o.Fields = append(contact(""),
		schema.Field{Name: fieldExternal, Type: schema.ID, Doc: "an id of your own; several contacts may have it, so it needs --" + optNonUnique, Source: srcIdentifiers, Example: "C-10023"},
		schema.Field{Name: fieldGroup, Type: schema.ID, Aliases: []string{"Group ID"}, Doc: "id of the group to subscribe to; a contact that is not there yet needs one", Source: srcUser, Example: "2324333335"},
		schema.Field{Name: fieldMessage, Type: schema.ID, Modes: upserts, Doc: "id of a prepared message, which is then sent to the contact", Source: srcFlags, Example: "9634"},
		deleteField(srcUser),
	)
	for _, f := range []struct{ name, doc string }{
		{"unsubscribe", "true unsubscribes the contact from the group"},
		{"doubleOptIn", "true asks the contact to confirm"},
		{"subscribe", "true subscribes the contact to the group"},
		{"updateonly", "true changes contacts that are there and makes none"},
		{fieldPartial, "true skips attributes that are wrong instead of all of the event's; --" + optPartial + " sets it on every row"},
	} {
		o.Fields = append(o.Fields, schema.Field{Name: f.name, Type: schema.Bool, Modes: upserts, Doc: f.doc + "; false is not sent", Source: srcFlags, Example: "true"})
	}
	o.OrderBy = append(o.OrderBy, fieldExternal)
	o.Options = []schema.Option{
		{Name: optNonUnique, Doc: "take rows that are identified by externalID or an attribute alone: each changes all contacts that match"},
		{Name: optPartial, Doc: "skip attributes that the vendor finds wrong, instead of all attributes of their row", Modes: upserts},
	}
	o.Limits = append(o.Limits, "names with a suffix such as firstName:CORE pass as they are")
	return o
}

func emailObject() schema.Object {
	o := eventObject(objEmail, "E-mails", "Sends a prepared e-mail message, a row an e-mail. Other columns are parameters of the message.", sends)
	m := message("id of the prepared message")
	m.In = in("required", schema.Send)
	o.Fields = append(contact(byContact+" "+fieldGroup, schema.Send), m,
		schema.Field{Name: fieldGroup, Type: schema.ID, Aliases: []string{"Group ID"}, Doc: "id of a group; without a recipient the message goes to the whole group, which needs --" + optGroupSend, Source: "Send a group message: the example", Example: "12"},
		schema.Field{Name: "externalTransactionFormula", Type: schema.Text, Doc: "a value of your own that the message can use", Source: "Send a single message to a user with \"externalTransactionFormula\"", Example: "myUniqueValue"},
	)
	o.Options = []schema.Option{{Name: optGroupSend, Doc: "take rows with a group and no recipient: each mails the whole group"}}
	return o
}

func smsObject() schema.Object {
	o := eventObject(objSMS, "SMS", "Sends a prepared SMS message, a row an SMS. Other columns are parameters of the message.", sends)
	m := message("id of the prepared message")
	m.Source, m.In = srcSMS, in("required", schema.Send)
	o.Fields = append(contact("required_without_all="+fieldSMSNumber+" "+fieldRecipient+" "+fieldUserID+" "+fieldMobile, schema.Send),
		schema.Field{Name: fieldSMSNumber, Type: schema.Phone, Doc: "the number to send to, with country code", Source: srcSMS, Example: "+48666777888"},
		schema.Field{Name: fieldRecipient, Type: schema.ID, Doc: "the recipient's id", Source: srcSMS, Example: "1234567890"},
		m)
	o.OrderBy = []string{fieldSMSNumber, fieldEmail, fieldRecipient, fieldUserID, fieldMobile}
	return o
}

func pushObject() schema.Object {
	o := eventObject(objPush, "Push messages", "Sends a prepared push message, a row a message. Other columns are parameters of the message.", sends)
	o.Fields = append(contact(byContact, schema.Send),
		schema.Field{Name: fieldPush, Type: schema.ID, In: in("required", schema.Send), Aliases: []string{"Push Message"}, Doc: "id of the push message's template, not of a campaign", Source: srcPush, Example: "1234"},
		schema.Field{Name: "mobileAppId", Type: schema.ID, In: in("required", schema.Send), Aliases: []string{"App ID"}, Doc: "id of the app that it goes to", Source: srcPush, Example: "5678"},
	)
	return o
}

func transactionObject() schema.Object {
	o := eventObject(objTransaction, "Transactions",
		"Orders with their items. Rows with one orderId make one order, an item a row in file order; order fields come from the first row that has them. With messageId the vendor also sends that message.", stores)
	o.GroupBy = fieldOrder
	o.OrderBy = []string{fieldOrder}
	m := message("id of a prepared message, which is then sent; without it the order is only saved")
	m.Source, m.Modes = srcTransaction, upserts
	o.Fields = append([]schema.Field{
		{Name: fieldOrder, Type: schema.ID, In: in("required", stores...), Aliases: []string{"Order", "Order Number", "Order No"}, Doc: "the order's id; rows with the same one are one order", Source: srcTransaction, Example: "06032023"},
	}, contact(byContact, stores...)...)
	o.Fields = append(o.Fields, m,
		schema.Field{Name: fieldGroup, Type: schema.ID, Modes: upserts, Aliases: []string{"Group ID"}, Doc: "id of the contact's group", Source: srcTransaction, Example: "8262"},
		schema.Field{Name: fieldOrdered, Type: schema.Text, Modes: upserts, Aliases: []string{"Order Date"}, Doc: "when it was ordered: ISO 8601, or milliseconds since 1970; without a zone it is UTC", Source: srcTransaction, Example: "2020-04-28T12:30:08.537Z"},
		schema.Field{Name: "currency", Type: schema.Text, Modes: upserts, Doc: "the currency's ISO 4217 code", Source: srcTransaction, Example: "GBP"},
		schema.Field{Name: "items.sku", Type: schema.ID, Modes: upserts, Aliases: []string{"Item SKU"}, Doc: "an item's product", Source: srcTransaction, Example: "JB-129"},
		schema.Field{Name: "items.name", Type: schema.Text, Modes: upserts, Aliases: []string{"Item Name"}, Doc: "an item's name", Source: srcTransaction, Example: "George-H"},
		schema.Field{Name: "items.price", Type: schema.Number, Modes: upserts, Aliases: []string{"Item Price"}, Doc: "an item's price, with a decimal point and no thousands separators", Source: srcTransaction, Example: "15"},
		schema.Field{Name: "items.qty_ordered", Type: schema.Number, Modes: upserts, Aliases: []string{"Item Quantity", "items.qty", "items.quantity"}, Doc: "how many of an item were ordered", Source: srcTransaction, Example: "1"},
		schema.Field{Name: "items.*", Type: schema.Any, Modes: upserts, Doc: "any other attribute of an item", Source: "The request body can contain any JSON object"},
		schema.Field{Name: fieldItems, Type: schema.JSON, Modes: upserts, Doc: "all items of the order in one cell, as a JSON array; instead of columns items.sku and so on", Source: srcTransaction,
			Example: `[{"sku":"JB-129","name":"George-H","price":"15","qty_ordered":"1"}]`},
		deleteField("Remove a transaction from the Transactions eCommerce table: the example"),
	)
	return o
}

func productObject() schema.Object {
	text := func(name, doc, source, example string) schema.Field {
		return schema.Field{Name: name, Type: schema.Text, Modes: upserts, Doc: doc, Source: source, Example: example}
	}
	o := eventObject(objProduct, "Products", "The product catalog. A product without productSKU is accepted and then skipped by the vendor, so it is refused here.", stores,
		schema.Field{Name: "productSKU", Type: schema.ID, In: in("required", stores...), Aliases: []string{"SKU"}, Doc: "the product's id", Source: srcProduct, Example: "aaa-bbb-ccc"},
		text("productName", "the product's name", srcProduct, "someName"),
		schema.Field{Name: "productPrice", Type: schema.Number, Modes: upserts, Doc: "the price, with a decimal point and no thousands separators", Source: srcProduct, Example: "123"},
		text("productURL", "the product's page", srcProduct, "http://somedomain.com"),
		schema.Field{Name: "stockTotal", Type: schema.Integer, Modes: upserts, Doc: "how many are in stock", Source: srcShops, Example: "12"},
		text("imageURL", "a picture", srcShops, "http://somedomain.com/a.jpg"),
		text("zoomImageURL", "a larger picture", srcShops, "http://somedomain.com/a-large.jpg"),
		text("brand", "the brand", srcShops, "Acme"),
		text("category", "the category", srcShops, "Shoes"),
		text("description", "a description", srcShops, "Light and warm"),
		deleteField(srcProduct),
	)
	o.OrderBy = []string{"productSKU"}
	return o
}

// visitObject is a product that a contact took an interest in.
func visitObject(name, title, doc string) schema.Object {
	o := eventObject(name, title, doc+" The vendor saves nothing for a contact that it does not know.", stores)
	o.Fields = append(contact(byContact, stores...),
		schema.Field{Name: "sku", Type: schema.ID, In: in("required", stores...), Doc: "the product", Source: srcCart, Example: "0602-2023-123"},
		schema.Field{Name: fieldCreated, Type: schema.Text, Modes: upserts, Doc: "when it happened: ISO 8601, or milliseconds since 1970; without a zone it is UTC", Source: srcCart, Example: "2024-02-10T17:25:43.511Z"},
		schema.Field{Name: "price", Type: schema.Number, Modes: upserts, Doc: "the price, with a decimal point and no thousands separators", Source: srcCart, Example: "25"},
		schema.Field{Name: "size", Type: schema.Text, Modes: upserts, Doc: "the size", Source: srcCart, Example: "M"},
		deleteField(srcCart),
	)
	return o
}

func recommendedObject() schema.Object {
	o := eventObject(objRecommended, "Recommended products", "Products recommended to contacts.", stores)
	o.Fields = append(contact(byContact, stores...),
		schema.Field{Name: "sku", Type: schema.ID, In: in("required", stores...), Doc: "the product", Source: srcRecommended, Example: "0602-2023-123"},
		schema.Field{Name: "accuracy", Type: schema.Number, Modes: upserts, Doc: "how sure the recommendation is", Source: srcRecommended, Example: "12"},
		schema.Field{Name: "model", Type: schema.Text, Modes: upserts, Doc: "the model that made it", Source: srcRecommended, Example: "25"},
		deleteField(srcRecommended),
	)
	return o
}

func couponObject() schema.Object {
	o := eventObject(objCoupon, "Coupon codes", "Codes of a coupon list. A list that is not there is created.", []schema.Mode{schema.Create},
		schema.Field{Name: "listName", Type: schema.Text, In: in("required", schema.Create), Aliases: []string{"List"}, Doc: "the list; it is created if it is not there", Source: srcCoupon, Example: "campaign1"},
		schema.Field{Name: "value", Type: schema.ID, In: in("required", schema.Create), Aliases: []string{"Code", "Coupon", "Coupon Code"}, Doc: "the code", Source: srcCoupon, Example: "summer1jaosajsoas"},
	)
	o.OrderBy = nil
	return o
}

func relatedObject() schema.Object {
	modes := []schema.Mode{schema.Add, schema.Update, schema.Delete}
	o := eventObject(objRelated, "Related data",
		"Rows of related data lists. A column importMode says for each row what is done, else the run's mode does. An update without filter replaces all records of its key, a delete without filter removes them.", modes,
		schema.Field{Name: "datasetName", Type: schema.Text, In: in("required", modes...), Aliases: []string{"Dataset"}, Doc: "the related data list", Source: srcRelated, Example: "testrdlistname"},
		schema.Field{Name: "key", Type: schema.ID, In: in("required", modes...), Doc: "what the records belong to", Source: srcRelated, Example: "123"},
		schema.Field{Name: fieldMode, Type: schema.Enum, Values: []string{"add", "update", "delete"}, Doc: "add, update or delete; an empty cell is the run's mode", Source: srcRelated, Example: "add"},
		schema.Field{Name: fieldAttributes, Type: schema.Pairs, Doc: "names and values, as JSON or with single quotes; needed to add and to update, not for delete", Source: srcRelated, Example: "{'description':'some description','price':'567'}"},
		schema.Field{Name: fieldAttributes + ".*", Type: schema.Any, Doc: "one of the attributes in a column of its own", Source: srcRelated},
		schema.Field{Name: fieldFilter, Type: schema.Pairs, Doc: "which records of the key are meant, for update and delete; without it all of them", Source: srcRelated, Example: "{'description':'lorem ipsum'}"},
		schema.Field{Name: fieldFilter + ".*", Type: schema.Any, Doc: "one part of the filter in a column of its own", Source: srcRelated},
	)
	o.AnyField = false
	o.OrderBy = []string{"key"}
	o.Options = []schema.Option{
		{Name: optReplace, Doc: "take updates without filter: each replaces all records of its key"},
		{Name: optDeleteAll, Doc: "take deletes without filter: each removes all records of its key"},
	}
	return o
}

func automationObject() schema.Object {
	o := eventObject(objAutomation, "Automation events", "Events that start automations. Other columns are the event's data.", sends)
	o.Fields = append(contact(byContact, schema.Send),
		schema.Field{Name: "externalEvent", Type: schema.Text, In: in("required", schema.Send), Aliases: []string{"Event", "Event Name"}, Doc: "the event's name", Source: srcAutomation, Example: "cart_reminder"})
	return o
}

func listObject(name, title, doc, id, called string) schema.Object {
	return schema.Object{
		Name: name, Title: title, Doc: doc + " The vendor has no pages, filters or sorting; rows come in the order of their ids.",
		Export: schema.ExportInfo{All: true},
		Fields: []schema.Field{
			{Name: "id", Type: schema.ID, ReadOnly: true, Doc: "the id that events name it by", Source: srcList, Example: id},
			{Name: "name", Type: schema.Text, ReadOnly: true, Doc: "its name", Source: srcList, Example: called},
		},
	}
}

func connectObject() schema.Object {
	id := func(name, doc, example string) schema.Field {
		return schema.Field{Name: name, Type: schema.ID, ReadOnly: true, Doc: doc, Source: srcConnect, Example: example}
	}
	return schema.Object{
		Name: objConnect, Title: "Integration", Doc: "What the integration says of itself: one row. The columns are those of the answer.",
		Export:   schema.ExportInfo{All: true},
		AnyField: true,
		Fields: []schema.Field{
			id("customersGroupId", "id of the group of customers", "2324333335"),
			id("subscribersGroupId", "id of the group of subscribers", "2324333336"),
			id("guestsGroupId", "id of the group of guests", "2324333337"),
		},
	}
}
