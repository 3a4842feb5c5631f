package near

import "testing"

func TestName(t *testing.T) {
	names := []string{"email", "name", "company", "phone", "first_name", "last_name", "id"}
	tests := []struct{ name, want string }{
		{"emial", "email"}, {"E-Mail", "email"}, {"e_mal", "email"}, {"frist name", "first_name"}, {"compny", "company"},
		{"nmae", "name"}, {"xyz", ""}, {"", ""}, {"ix", ""}, {"ID", "id"}, {"postcode", ""}, {"lastname", "last_name"}, {"  ", ""},
	}
	for _, tt := range tests {
		got := Name(tt.name, names)
		if got != tt.want {
			t.Errorf("Name(%q) = %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestNameOfPaths(t *testing.T) {
	names := []string{"first_name", "last_name", "email", "mobile", "preference.from_price"}
	for in, want := range map[string]string{
		"firstname": "first_name", "E-Mial": "email", "Mobile Number": "mobile", "from_price": "preference.from_price", "zzz": "", "": "", "mobil": "mobile", "preference.form_price": "preference.from_price",
	} {
		if got := Name(in, names); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
