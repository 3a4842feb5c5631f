package sandbox

import (
	"net/url"
	"strings"
)

// Endpoint is one path of a vendor's API. H is what does the work of a method, a type of the simulator.
type Endpoint[H any] struct {
	Path    string       // "/customers/{id}": what is in braces stands for any one part of a path that is not empty
	Methods map[string]H // by name: GET
	Open    bool         // asks for no credentials and is not under the rate
}

// Endpoints are the paths of a vendor's API. Of those that fit a request, the first is meant.
type Endpoints[H any] []Endpoint[H]

// Find returns the endpoint of a request's path, as it was escaped, without what all the vendor's paths begin with, and
// the parts that the endpoint has in braces, decoded. ok is false if there is none.
func (all Endpoints[H]) Find(path string) (e Endpoint[H], args []string, ok bool) {
	parts := strings.Split(path, "/")
	for _, e := range all {
		if args, ok := match(strings.Split(e.Path, "/"), parts); ok {
			return e, args, true
		}
	}
	return Endpoint[H]{}, nil, false
}

// match reports whether the parts of a path fit those that are wanted, and which stand where the wanted have braces.
func match(want, parts []string) (args []string, ok bool) {
	if len(want) != len(parts) {
		return nil, false
	}
	for i := range want {
		switch {
		case strings.HasPrefix(want[i], "{") && parts[i] != "":
			arg, err := url.PathUnescape(parts[i])
			if err != nil {
				return nil, false
			}
			args = append(args, arg)
		case want[i] != parts[i]:
			return nil, false
		}
	}
	return args, true
}
