package datapath

const pinDescription = "description"

// PinDescription writes into dir, beside the programs, what they were loaded
// for: the maps alone do not tell a rule's name or its addresses.
func (rs *Ruleset) PinDescription(dir string) error {
	return pinDocument(dir, pinDescription, rs)
}

// ReadDescription reads what the ruleset in dir was loaded for. Returns an
// error wrapping os.ErrNotExist if it does not say.
func ReadDescription(dir string) (*Ruleset, error) {
	rs := new(Ruleset)
	if err := readDocument(dir, pinDescription, rs); err != nil {
		return nil, err
	}
	return rs, nil
}
