package build

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

const since = `20010203040506-[0-9a-f]{12}`

// TestVersion expects .ci/version to print what Go would for the same history.
func TestVersion(t *testing.T) {
	r := newRepository(t)
	r.wants(`v0.0.0-` + since)
	r.write("file", "changed")
	r.wants(`v0.0.0-` + since + `\+dirty`)
	r.git("checkout", "-q", "file")
	r.write("another", "")
	r.wants(`v0.0.0-` + since + `\+dirty`)
	r.write(".git/info/exclude", "another")
	r.wants(`v0.0.0-` + since)

	r.git("tag", "v1.2.3")
	r.wants(`v1.2.3`)
	r.commit()
	r.git("tag", "nightly")
	r.wants(`v1.2.4-0.` + since)
	r.git("tag", "v1.3.0-rc.1")
	r.wants(`v1.3.0-rc.1`)
	r.commit()
	r.wants(`v1.3.0-rc.1.0.` + since)
}

// TestVersionOfWorktree has a folder whose repository is elsewhere.
func TestVersionOfWorktree(t *testing.T) {
	r := newRepository(t)
	tree := repository{t, filepath.Join(t.TempDir(), "tree")}
	r.git("worktree", "add", "-q", tree.folder)
	tree.wants(`v0.0.0-` + since)
}

// TestVersionOfArchive has a folder without a repository inside an unrelated one, and a
// folder without any history.
func TestVersionOfArchive(t *testing.T) {
	r := newRepository(t)
	r.git("tag", "v1.2.3")
	r.commit()
	outer := newRepository(t)
	inner := repository{t, filepath.Join(outer.folder, "inner")}
	r.git("archive", "--prefix=inner/", "-o", filepath.Join(outer.folder, "inner.tar"), "HEAD")
	outer.run("tar", "-xf", "inner.tar")
	inner.wants(`v1.2.4-0.` + since)

	nowhere := repository{t, t.TempDir()}
	nowhere.addScript()
	if said := nowhere.run(".ci/version"); said != "" {
		t.Errorf("the version of what has no history: %s", said)
	}
}

// repository is a folder with .ci/version.
type repository struct {
	t      *testing.T
	folder string
}

func newRepository(t *testing.T) repository {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("missing: git; apt-get install git")
	}
	r := repository{t, t.TempDir()}
	r.addScript()
	r.write(".gitattributes", "/.ci/version export-subst\n")
	r.write("file", "")
	r.git("init", "-q")
	r.git("add", ".")
	r.commit()
	return r
}

func (r repository) addScript() {
	r.t.Helper()
	script, err := os.ReadFile("../../.ci/version")
	if err != nil {
		r.t.Fatal(err)
	}
	r.write(".ci/version", string(script))
}

func (r repository) write(name, content string) {
	r.t.Helper()
	path := filepath.Join(r.folder, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
		r.t.Fatal(err)
	}
}

func (r repository) commit() {
	r.t.Helper()
	r.git("-c", "user.name=test", "-c", "user.email=test@example.com", "commit", "-q", "--allow-empty", "-m", "test")
}

func (r repository) git(args ...string) {
	r.t.Helper()
	r.run("git", args...)
}

func (r repository) run(program string, args ...string) string {
	r.t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir = r.folder
	at := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC).Format(time.RFC3339)
	cmd.Env = append(os.Environ(), "GIT_AUTHOR_DATE="+at, "GIT_COMMITTER_DATE="+at)
	said, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("%v: %v: %s", cmd.Args, err, said)
	}
	return string(said)
}

// wants expects this version of the folder, and a commit and a time.
func (r repository) wants(version string) {
	r.t.Helper()
	want := regexp.MustCompile(`^` + version + ` [0-9a-f]{40} 981173106\n$`)
	if said := r.run(".ci/version"); !want.MatchString(said) {
		r.t.Errorf("the version of %s is %q, want %v", r.folder, said, want)
	}
}
