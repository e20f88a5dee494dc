package install

import (
	"fmt"
	"os"
)

// CheckFolder returns an error that names the flag if there is no folder at its path.
func CheckFolder(flag, path string) error {
	info, err := os.Stat(path)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is not a folder", path)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", flag, err)
	}
	return nil
}
