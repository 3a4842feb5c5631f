//go:build !linux

package whole

import "os"

// passOn does nothing here: the sync at the end writes all of the file.
func passOn(*os.File, int64, int64) {}
