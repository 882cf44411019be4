package counting

// Role says what the increments of a series count.
type Role uint8

// What a series may count.
const (
	RoleGood Role = 1 << iota
	RoleBad
	RoleTotal
)
