package agent

import (
	"fmt"
	"sync"
	"time"

	"github.com/xdp-port/xdp-port/pkg/apply"
	"github.com/xdp-port/xdp-port/pkg/metrics"
)

// The subjects of problems. Each has at most one problem at a time.
const (
	aboutConfiguration = "configuration"
	aboutPrograms      = "programs"
	aboutConflist      = "conflist"
	aboutContainers    = "containers"
	aboutForeign       = "foreign-programs"
	aboutGarbage       = "garbage"
	aboutDaemonSet     = "daemonset"
)

var subjects = []string{aboutConfiguration, aboutPrograms, aboutConflist, aboutContainers, aboutForeign, aboutGarbage, aboutDaemonSet}

// report collects the problems that the agent serves. It is safe for concurrent use.
type report struct {
	mutex    sync.Mutex
	problems map[string]error
	known    map[string]bool // subjects that have been looked at
	lastSign time.Time

	*metrics.Agent
}

func newReport() *report {
	var outcomes []string
	for _, outcome := range apply.Outcomes {
		outcomes = append(outcomes, string(outcome))
	}
	return &report{
		problems: map[string]error{}, known: map[string]bool{}, lastSign: time.Now(),
		Agent: metrics.NewAgent(subjects, outcomes),
	}
}

// set records the problem of a subject, or that there is none, and reports whether that is a
// change.
func (r *report) set(subject string, err error) (changed bool) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	old := r.problems[subject]
	r.known[subject] = true
	if err == nil {
		delete(r.problems, subject)
		r.Problem.WithLabelValues(subject).Set(0)
		return old != nil
	}
	r.problems[subject] = err
	r.Problem.WithLabelValues(subject).Set(1)
	return old == nil || old.Error() != err.Error()
}

func (r *report) has(subject string) bool {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.problems[subject] != nil
}

// alive records that the agent is working.
func (r *report) alive() {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.lastSign = time.Now()
}

// silence is the time since alive.
func (r *report) silence() time.Duration {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return time.Since(r.lastSign)
}

// describe lists the subjects that have a problem or have not been looked at, one per line.
// Without details it leaves out what the problem is.
func (r *report) describe(details bool) (lines []string) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for _, subject := range subjects {
		switch err := r.problems[subject]; {
		case err != nil && details:
			lines = append(lines, fmt.Sprintf("%s: %v", subject, err))
		case err != nil:
			lines = append(lines, subject+": see the log")
		case !r.known[subject]:
			lines = append(lines, subject+": not checked yet")
		}
	}
	return lines
}
