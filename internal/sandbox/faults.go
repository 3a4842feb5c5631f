package sandbox

// Faults are the failures that a simulator produces on demand.
type Faults struct{}
