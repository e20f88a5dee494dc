package agent

import "github.com/xdp-port/xdp-port/pkg/install"

// keepPrograms installs programs that are missing. The conflist names the plugin: without it
// no container could start.
func (a *agent) keepPrograms() {
	if len(install.Missing(a.options.Programs)) == 0 {
		a.record(aboutPrograms, nil)
		return
	}
	a.installPrograms("a program was missing, and is installed")
}

func (a *agent) installPrograms(why string) {
	own, err := install.OwnFolder()
	var changed []string
	if err == nil {
		changed, err = install.Programs(own, a.options.Programs)
	}
	for _, path := range changed {
		a.log.Warn(why, "path", path)
	}
	a.record(aboutPrograms, err)
}
