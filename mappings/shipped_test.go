package mappings_test

import (
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crmetl/crmetl/connectors/lunarsend"
	"github.com/crmetl/crmetl/connectors/mapmycustomers"
	"github.com/crmetl/crmetl/connectors/mappconnect"
	"github.com/crmetl/crmetl/connectors/mycrm"
	"github.com/crmetl/crmetl/mappings"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

func vendors() []*schema.Vendor {
	return []*schema.Vendor{mapmycustomers.Schema(), mappconnect.Schema(), mycrm.Schema(), lunarsend.Schema()}
}

// target finds the object that a shipped mapping is for.
func target(t *testing.T, name string) *schema.Object {
	t.Helper()
	vendor, object, _ := strings.Cut(name, "/")
	for _, v := range vendors() {
		if v.Name == vendor {
			if o, ok := v.Object(object); ok {
				return o
			}
		}
	}
	t.Fatalf("there is no %s", name)
	return nil
}

func load(t *testing.T, name string) *mappings.Mapping {
	t.Helper()
	m, _, err := mappings.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestShippedTests runs the tests of every mapping that ships, in the mode that it is written for. Each shows a row that
// is taken, and one that is refused for a named field if anything can be wrong with its cells.
func TestShippedTests(t *testing.T) {
	files, err := fs.Glob(mappings.Shipped(), "*/*.yaml")
	if err != nil || len(files) != len(mappings.List()) {
		t.Errorf("%d mappings ship, %d are good enough to be listed: %v", len(files), len(mappings.List()), err)
	}
	for _, info := range mappings.List() {
		t.Run(info.Name, func(t *testing.T) {
			if vendor, _, _ := strings.Cut(info.Name, "/"); !strings.HasPrefix(info.Target, vendor+"/") {
				t.Errorf("it stands with %s and is for %s", vendor, info.Target)
			}
			m, obj := load(t, info.Name), target(t, info.Target)
			results, err := mappings.RunTests(m, obj, m.Mode)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range results {
				if r.Failure != "" {
					t.Errorf("%s.yaml:%d: %s", info.Name, r.Line, r.Failure)
				}
			}
			good := slices.ContainsFunc(m.Tests, func(x mappings.Test) bool { return len(x.Want) > 0 })
			bad := slices.ContainsFunc(m.Tests, func(x mappings.Test) bool { return len(x.Reject) > 0 })
			if !good || !bad && info.Name != "mapmycustomers/groups" {
				t.Error("it lacks a test of a good row, or one of a row refused for a field")
			}
		})
	}
}

// TestShippedFields: the mapping that is named as an object takes every field under the field's own name, and its
// columns give every field that an export always delivers.
func TestShippedFields(t *testing.T) {
	for _, v := range vendors() {
		for i := range v.Objects {
			obj := &v.Objects[i]
			if len(obj.Modes) == 0 {
				continue
			}
			m := load(t, v.Name+"/"+obj.Name)
			if m.Mode != obj.Modes[0] {
				t.Errorf("%s: mode %s, want %s", m.Name, m.Mode, obj.Modes[0])
			}
			var fields, mapped, delivered, exported []string
			for _, f := range obj.Fields {
				if f.Family() {
					continue
				}
				if !f.ReadOnly {
					fields = append(fields, f.Name+" from "+f.Name)
				}
				if obj.Export.Any() && !f.NoExport && !strings.Contains(f.Doc, "with --expand") {
					delivered = append(delivered, f.Name+" as "+f.Name)
				}
			}
			for _, e := range m.Fields {
				mapped = append(mapped, e.Field+" from "+strings.Join(e.Columns, ", "))
			}
			for _, c := range m.Export {
				exported = append(exported, c.Field+" as "+c.Name)
			}
			for _, x := range [][2][]string{{fields, mapped}, {delivered, exported}} {
				slices.Sort(x[0])
				slices.Sort(x[1])
				if diff := cmp.Diff(x[0], x[1]); diff != "" {
					t.Errorf("%s: %s", m.Name, diff)
				}
			}
		}
	}
}

// exports are the headers of files as the other systems write them, and as they write them with few columns.
var exports = map[string][]string{
	"hubspot-contacts": {
		"Record ID,First Name,Last Name,Email,Phone Number,Contact owner,Last Activity Date,Lead Status,Marketing contact status,Create Date,Associated Company",
		"Record ID,First Name,Last Name,Full Name,Job Title,Company Name,Email,Phone Number,Country/Region,City,Lead Status,Lifecycle Stage,Original Source,Original Source Drill-Down 1,Contact Owner,Create Date,Notes",
	},
	"salesforce-contacts": {
		"Id,IsDeleted,MasterRecordId,AccountId,FirstName,LastName,Salutation,Name,OtherStreet,OtherCity,MailingStreet,MailingCity,MailingState,MailingPostalCode,MailingCountry,Phone,Fax,MobilePhone,Email,Title,LeadSource,Description,OwnerId",
		"ID,LASTNAME,FIRSTNAME,EMAIL,PHONE,ACCOUNT.NAME",
		"Salutation,First Name,Last Name,Title,Mailing Street,Mailing City,Mailing State/Province,Mailing Zip/Postal Code,Mailing Country,Phone,Mobile,Fax,Email,Account Owner,Account Name",
	},
	"salesforce-leads": {
		"Id,IsDeleted,MasterRecordId,Salutation,FirstName,LastName,Title,Company,Street,City,State,PostalCode,Country,Phone,MobilePhone,Email,LeadSource,Status,Rating,OwnerId,IsConverted",
		"ID,FIRSTNAME,LASTNAME,COMPANY,EMAIL,PHONE",
		"Lead Owner,First Name,Last Name,Title,Company / Account,Lead Source,Rating,Street,Email,Phone",
	},
	"zoho-leads": {
		"Record Id,Lead Owner,Company,First Name,Last Name,Title,Email,Phone,Mobile,Website,Lead Source,Lead Status,Street,City,State,Zip Code,Country,Description,Tag,Email Opt Out",
		"Record Id,Company,First Name,Last Name,Email,Phone",
	},
	"pipedrive-people": {
		"Person - ID,Person - Name,Person - First name,Person - Last name,Person - Labels,Person - Organization,Person - Email - Work,Person - Email - Home,Person - Email - Other,Person - Phone - Work,Person - Phone - Home,Person - Phone - Mobile,Person - Phone - Other,Person - Owner,Organization - Name,Organization - Address",
		"Name,First name,Last name,Label,Organization,Email - Work,Phone - Work",
	},
	"outlook-contacts": {
		"Title,First Name,Middle Name,Last Name,Suffix,Company,Department,Job Title,Business Street,Business Street 2,Business Street 3,Business City,Business State,Business Postal Code,Business Country/Region,Home Street,Home City,Home State,Home Postal Code,Home Country/Region,Business Phone,Home Phone,Mobile Phone,Categories,E-mail Address,E-mail Type,E-mail Display Name,Notes",
		"First Name,Middle Name,Last Name,Title,Suffix,Nickname,Given Yomi,Surname Yomi,E-mail Address,E-mail 2 Address,E-mail 3 Address,Home Phone,Business Phone,Mobile Phone,Job Title,Department,Company,Business Street,Business City,Business State,Business Postal Code,Business Country/Region,Home Street,Home City,Home State,Home Postal Code,Home Country/Region,Birthday,Notes",
	},
	"google-contacts": {
		"First Name,Middle Name,Last Name,Phonetic First Name,Phonetic Middle Name,Phonetic Last Name,Name Prefix,Name Suffix,Nickname,File As,Organization Name,Organization Title,Organization Department,Birthday,Notes,Photo,Labels,E-mail 1 - Label,E-mail 1 - Value,Phone 1 - Label,Phone 1 - Value,Address 1 - Label,Address 1 - Formatted,Address 1 - Street,Address 1 - City,Address 1 - PO Box,Address 1 - Region,Address 1 - Postal Code,Address 1 - Country,Address 1 - Extended Address",
		"Name,Given Name,Additional Name,Family Name,Name Prefix,Name Suffix,Notes,Group Membership,E-mail 1 - Type,E-mail 1 - Value,Phone 1 - Type,Phone 1 - Value,Organization 1 - Type,Organization 1 - Name,Organization 1 - Title",
		"First Name,Middle Name,Last Name,Labels,E-mail 1 - Label,E-mail 1 - Value,Phone 1 - Label,Phone 1 - Value",
	},
	"mycrm-leads": {
		"id,title,first_name,middle_name,last_name,email,mobile,phone,address,pobox,city,country,status,quality,preference.type_names,preference.location_names,preference.offering_type,preference.from_price,preference.to_price,notes",
		"id,first_name,last_name,mobile",
	},
}

// unknown are the fields of a new MyCRM lead that no other system's export holds.
var unknown = []string{"category", "preference.types", "preference.locations", "preference.amenities", "preference.offering_type", "preference.from_price", "preference.to_price"}

// TestShippedFiles holds the mappings of other systems' exports against the headers that those write: each compiles, and
// needs nothing but what no such file holds, which --default gives.
func TestShippedFiles(t *testing.T) {
	given := map[string]string{"title": "ms", "country": "AE", "category": "commercial", "preference.types": "2;3", "preference.locations": "are.2.15",
		"preference.amenities": "1", "preference.offering_type": "rent", "preference.from_price": "0", "preference.to_price": "90000"}
	seen := 0
	for _, info := range mappings.List() {
		vendor, name, _ := strings.Cut(info.Name, "/")
		for _, line := range exports[name] {
			seen++
			m, obj := load(t, info.Name), target(t, info.Target)
			header := record.LooseHeader(strings.Split(line, ","))
			if vendor != "mycrm" {
				if _, err := mappings.Compile(m, header, obj, mappings.Options{}); err != nil {
					t.Errorf("%s: %s\n%v", info.Name, line, err)
				}
				continue
			}
			if _, err := mappings.Compile(m, header, obj, mappings.Options{Defaults: given}); err != nil {
				t.Errorf("%s: %s\n%v", info.Name, line, err)
			}
			_, err := mappings.Compile(m, header, obj, mappings.Options{Defaults: map[string]string{"title": "ms", "country": "AE"}})
			for _, f := range unknown {
				if err == nil || !strings.Contains(err.Error(), "required field "+f+" is not mapped") {
					t.Errorf("%s: without --default %s: %v", info.Name, f, err)
				}
			}
		}
	}
	if want := 4*17 + 2; seen != want {
		t.Errorf("%d files were tried, want %d", seen, want)
	}
}
