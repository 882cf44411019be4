package counting

// Role names the events that the increments of a series count. Roles can be combined.
type Role uint8

// The roles of a series.
const (
	RoleGood Role = 1 << iota
	RoleBad
	RoleTotal
)
