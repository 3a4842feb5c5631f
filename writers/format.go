package writers

// FormatOf returns the name of the format that Create would write to path: the given one, or by the path's name.
func FormatOf(path, format string) (string, error) {
	f, err := pick(path, format)
	return f.name, err
}
