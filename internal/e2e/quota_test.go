package e2e

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/servers"
	"github.com/penstock/penstock/internal/test"
)

// How much of a quota is used, and how evenly, depends on how soon a process runs when its slot is
// due: a slot is void after 20 ms. So a small run holds to these goals only where the machine had
// time to spare. What must never happen holds everywhere.

// names are those of the members of a fleet.
var names = []string{"a", "b", "c", "d"}

// tooMany fails the test if more arrived than the quota allows: in a window of one second the rate
// and three percent, at least three, besides what a machine that stalls lets through late.
func (f *fleet) tooMany(r run, rate int, from, to time.Time) {
	f.t.Helper()
	_, most := f.windows(from, to, time.Second)
	late := f.stalled(from, to)
	allowed := float64(rate)*(1+late.Seconds()) + max(3, 0.03*float64(rate))
	if float64(most) > allowed+float64(rate)*stall().Seconds() {
		f.t.Errorf("%d requests in a second, of a quota of %d", most, rate)
	}
	atMost(f.t, r, fmt.Sprintf("most in any 1 s, judge late %.0f ms", 1000*late.Seconds()),
		float64(most), allowed, "")
}

// enough fails the test if less than 90 % of the quota was used on a machine that had the time.
func (f *fleet) enough(r run, rate int, goal float64, from, to time.Time) {
	f.t.Helper()
	used := float64(f.count(from, to)) / (float64(rate) * to.Sub(from).Seconds())
	if used > 1.02+stall().Seconds()/to.Sub(from).Seconds() || used < 0.9 && r.calm() {
		f.t.Errorf("%.1f %% of the quota used in %v", 100*used, to.Sub(from))
	}
	atLeast(f.t, r, "used", 100*used, goal, " %")
}

// trips is how often the members asked the engine.
func trips(t *testing.T, redis *servers.Redis) (n int) {
	t.Helper()
	stats := redis.Do(t, "INFO", "commandstats")
	calls := regexp.MustCompile(`cmdstat_(\w+):calls=(\d+)`)
	for _, m := range calls.FindAllStringSubmatch(stats, -1) {
		if m[1] == "evalsha" || m[1] == "eval" || m[1] == "fcall" || m[1] == "publish" {
			times, err := strconv.Atoi(m[2])
			test.OK(t, err)
			n += times
		}
	}
	return n
}

// [quota] Processes that have the same quota share it: together they send what it allows, and no
// more, and each as much as the others.
func TestQuota(t *testing.T) {
	for _, c := range []struct{ rate, members int }{
		{50, 3}, {size(200, 1000), 3}, {50, 10}, {size(0, 1000), 10},
	} {
		rate, members := c.rate, float64(c.members)
		if rate == 0 {
			continue
		}
		t.Run(fmt.Sprintf("%d, %d", rate, c.members), func(t *testing.T) {
			together(t, rate == 50)
			f, redis := startFleet(t, 0, "--rps", strconv.Itoa(rate))
			lasts := time.Duration(size(6, 60)) * time.Second
			for i := range c.members {
				f.start(fmt.Sprint("m", i), rate*(int(lasts.Seconds())+20))
			}
			from := f.settled(4 * time.Second) // an engine that is new learns for two
			before, share := trips(t, redis), idle()
			time.Sleep(lasts)
			to := time.Now()
			r := run{idle: share()}
			asked := float64(trips(t, redis)-before) / lasts.Seconds() / members
			t.Logf("redis %s: %v", redis.Version(), f.hosts(from, to))
			f.tooMany(r, rate, from, to)
			f.enough(r, rate, 97, from, to)
			if *large {
				fewest, most := f.windows(from, to, 10*time.Second)
				atLeast(t, r, "fewest in any 10 s", float64(fewest)/float64(rate)*10, 97, " %")
				atMost(t, r, "most in any 10 s", float64(most)/float64(rate)*10, 100.5, " %")
				atMost(t, r, "host with the most / fewest", ratio(f.hosts(from, to)), 1.10, "")
			}
			atMost(t, r, "round trips a second and host", asked, 20, "")
			if asked > 25 {
				t.Errorf("each asks %.1f times a second", asked)
			}
		})
	}
}

// Nothing is lost, and nothing sent twice, by sharing.
func TestQuotaDelivers(t *testing.T) {
	together(t, true)
	f, _ := startFleet(t, 0, "--rps", "200")
	const each = 150
	for _, name := range names {
		f.start(name, each)
	}
	for _, m := range f.members {
		<-m.ended
		if status := m.cmd.ProcessState.ExitCode(); status != 0 {
			t.Errorf("%s: exit status %d", m.name, status)
		}
	}
	items := f.items()
	if len(items) != each*len(names) {
		t.Errorf("%d items are there", len(items))
	}
	for path, times := range items {
		if times > 1 {
			t.Errorf("%s %d times", path, times)
		}
	}
}

// What one process does not use, another does.
func TestQuotaUnequal(t *testing.T) {
	together(t, false)
	const rate = 100
	f, _ := startFleet(t, 0, "--rps", strconv.Itoa(rate))
	lasts := time.Duration(size(6, 30)) * time.Second
	f.start("a", rate*60)
	f.feed("b", "-")
	from := f.settled(4 * time.Second)
	share := idle()
	time.Sleep(lasts)
	to := time.Now()
	r := run{idle: share()}
	t.Log(f.hosts(from, to))
	f.tooMany(r, rate, from, to)
	f.enough(r, rate, 97, from, to)
}

// [quota down] Without the engine each keeps to its last share for 30 s, and then sends nothing. It
// goes on by itself when the engine is back, which may know nothing any more.
func TestQuotaEngineDown(t *testing.T) {
	for _, outage := range []time.Duration{2 * time.Second, time.Duration(size(0, 60)) *
		time.Second} {
		if outage == 0 {
			continue
		}
		t.Run(outage.String(), func(t *testing.T) {
			together(t, outage > 30*time.Second)
			const rate = 100
			f, redis := startFleet(t, 0, "--rps", strconv.Itoa(rate))
			for _, name := range names[:3] {
				f.start(name, rate*120)
			}
			from := f.settled(4 * time.Second)
			share := idle()
			redis.Kill()
			down := time.Now()
			time.Sleep(outage)
			test.OK(t, redis.Start())
			back := time.Now()
			time.Sleep(8 * time.Second)
			to := time.Now()
			r := run{idle: share()}
			f.tooMany(r, rate, from, to)
			if again := f.between(back, to); len(again) == 0 {
				t.Errorf("nothing is sent in %v since the engine is back", to.Sub(back))
			}
			t.Logf("by quarters of a second, from 1 s before its end: %v",
				f.course(down.Add(-time.Second), down.Add(8*time.Second), time.Second/4))
			if outage < 30*time.Second {
				f.enough(r, rate, 90, down, to)
				return
			}
			f.enough(r, rate, 90, down.Add(time.Second), down.Add(29*time.Second))
			if n := f.count(down.Add(32*time.Second), back); n > 0 {
				t.Errorf("%d requests more than 32 s after the engine's end", n)
			}
			atMost(t, r, "back after", f.between(back, to)[0].at.Sub(back).Seconds(), 2, " s")
		})
	}
}

// With stop nothing is sent without the engine.
func TestQuotaDownStop(t *testing.T) {
	together(t, true)
	f, redis := startFleet(t, 0, "--rps", "50", "--quota-down", "stop")
	f.start("a", 50*60)
	f.start("b", 50*60)
	f.settled(2 * time.Second)
	redis.Kill()
	down := time.Now()
	time.Sleep(4 * time.Second)
	test.OK(t, redis.Start())
	back := time.Now()
	// Both may have leased some slots, and take half a second to find that it is down.
	if n := f.count(down.Add(time.Second+stall()), back); n > 0 {
		t.Errorf("%d requests without the engine", n)
	}
	time.Sleep(5 * time.Second)
	if f.count(back, time.Now()) == 0 {
		t.Error("nothing is sent since it is back")
	}
}

// Where a process has ended in good order, the others have its share soon; after a kill when its
// lease of membership has run out, since it may be there and only not reach the engine.
func TestQuotaMemberEnds(t *testing.T) {
	together(t, true)
	const rate = 100
	f, _ := startFleet(t, 0, "--rps", strconv.Itoa(rate))
	for _, name := range names[:3] {
		f.start(name, rate*120)
	}
	from := f.settled(4 * time.Second)
	share := idle()
	f.members[0].stop()
	left := time.Now()
	time.Sleep(5 * time.Second)
	to := time.Now()
	r := run{idle: share()}
	f.tooMany(r, rate, from, to)
	f.enough(r, rate, 97, left.Add(time.Second), to)
	if !*large {
		return
	}
	f.members[1].kill()
	killed := time.Now()
	time.Sleep(45 * time.Second)
	to = time.Now()
	f.tooMany(r, rate, killed, to)
	f.enough(r, rate, 97, killed.Add(35*time.Second), to)
}

// [quota pause] A wait that one process is asked for holds for all.
func TestQuotaPause(t *testing.T) {
	together(t, false)
	const rate, wait = 100, 3
	f, _ := startFleet(t, 0, "--rps", strconv.Itoa(rate))
	for _, name := range names[:3] {
		f.start(name, rate*60)
	}
	f.settled(4 * time.Second)
	share := idle()
	f.refuseNext(wait)
	time.Sleep((wait + 3) * time.Second)
	r := run{idle: share()}
	refused := f.refusedAt()
	until := refused.Add(wait * time.Second)
	late := f.between(refused.Add(time.Millisecond), until)
	last := refused
	if len(late) > 0 {
		last = late[len(late)-1].at
	}
	if last.Sub(refused) > 50*time.Millisecond+stall() {
		t.Errorf("the last request came %v after the refusal", last.Sub(refused))
	}
	atMost(t, r, "in force everywhere after", 1000*last.Sub(refused).Seconds(), 50, " ms")
	if f.count(until, time.Now()) == 0 {
		t.Error("nothing was sent after the pause")
	}
	f.tooMany(r, rate, until, time.Now())
}

// Nobody has given a number. Those that name a quota find one together; those that share nothing
// find it each by the refusals that it gets.
func TestQuotaFound(t *testing.T) {
	if !*large {
		t.Skip("it takes a minute or more to find the pace: -large")
	}
	const rate = 200
	for _, c := range []struct {
		name                 string
		members              int
		engine               bool
		after                time.Duration
		used, waste, fairest float64
	}{
		{"engine", 4, true, 20 * time.Second, 95, 1.5, .95},
		{"no engine", 10, false, time.Minute, 93, 2, .93},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &fleet{counter: startCounter(t, 0), t: t}
			if c.engine {
				f, _ = startFleet(t, 0)
			}
			f.rate, f.burst = rate, 20
			for i := range c.members {
				f.start(fmt.Sprintf("m%d", i), rate*120)
			}
			f.settled(c.after)
			from, share := time.Now(), idle()
			time.Sleep(40 * time.Second)
			to := time.Now()
			r := run{idle: share()}
			refused := float64(f.refusals(from, to))
			all, hosts := float64(f.count(from, to)), f.hosts(from, to)
			t.Log(hosts)
			used := (all - refused) / (rate * to.Sub(from).Seconds())
			atLeast(t, r, "used", 100*used, c.used, " %")
			atMost(t, r, "waste", 100*refused/all, c.waste, " %")
			atLeast(t, r, "Jain", jain(hosts), c.fairest, "")
		})
	}
}

// [quota concurrency] A limit of requests at once holds for all processes together, whichever of
// them are killed.
func TestQuotaConcurrency(t *testing.T) {
	together(t, true)
	const most = 8
	f, _ := startFleet(t, 100*time.Millisecond, "--concurrency", strconv.Itoa(most))
	for _, name := range names {
		f.start(name, 4000)
	}
	from := f.settled(4 * time.Second)
	share := idle()
	for i := range size(1, 4) {
		f.members[i].kill()
		f.start(fmt.Sprint("new", i), 4000)
		time.Sleep(time.Duration(size(3, 12)) * time.Second)
	}
	to := time.Now()
	r := run{idle: share()}
	atOnce := f.atOnce()
	if atOnce > most {
		t.Errorf("%d requests at once", atOnce)
	}
	atMost(t, r, "most at once", float64(atOnce), most, "")
	// Each takes 100 ms and what it takes to come and go.
	atLeast(t, r, "used", float64(f.count(from, to))/to.Sub(from).Seconds()/(10*most)*100, 70, " %")
	if f.count(to.Add(-time.Second), to) == 0 {
		t.Error("nothing is sent any more")
	}
}

// A process that does not reach the engine goes on with its share, and the others do with theirs.
func TestQuotaPartition(t *testing.T) {
	together(t, false)
	const rate = 100
	f, redis := startFleet(t, 0, "--rps", strconv.Itoa(rate))
	way := startPartition(t, redis.Addr)
	f.start("a", rate*60)
	f.url = "redis://" + way.addr + quotaName
	f.start("b", rate*60)
	from := f.settled(4 * time.Second)
	share := idle()
	way.cut()
	cut := time.Now()
	time.Sleep(5 * time.Second)
	way.heal()
	healed := time.Now()
	time.Sleep(3 * time.Second)
	to := time.Now()
	r := run{idle: share()}
	sent := f.hosts(cut.Add(time.Second), healed)
	t.Log(sent)
	if sent["b"] == 0 {
		t.Error("the one that does not reach the engine sends nothing")
	}
	f.tooMany(r, rate, from, to)
	f.enough(r, rate, 90, cut, to)
}

// An engine that has lost its last second, as a replica that takes over may have, books that anew:
// for at most as long as slots are leased ahead, and no more.
func TestQuotaFailover(t *testing.T) {
	together(t, false)
	const rate = 100
	f, redis := startFleet(t, 0, "--rps", strconv.Itoa(rate))
	for _, name := range names[:3] {
		f.start(name, rate*60)
	}
	from := f.settled(4 * time.Second)
	share := idle()
	redis.Do(t, "SAVE")
	time.Sleep(time.Second)
	redis.Kill()
	test.OK(t, redis.Start())
	time.Sleep(4 * time.Second)
	to := time.Now()
	r := run{idle: share()}
	_, most := f.windows(from, to, time.Second)
	const horizon = 200 * time.Millisecond
	allowed := rate*(1+horizon.Seconds()) + 3
	if float64(most) > allowed+rate*stall().Seconds() {
		t.Errorf("%d requests in a second", most)
	}
	atMost(t, r, "most in any second", float64(most), allowed, "")
	f.enough(r, rate, 90, from, to)
}

// delivers has two processes with that quota deliver what they have.
func delivers(t *testing.T, url string, env ...string) *fleet {
	t.Helper()
	f := &fleet{counter: startCounter(t, 0), t: t, url: url, env: env}
	f.args = []string{"--rps", "100"}
	f.start("a", 50)
	f.start("b", 50)
	for _, m := range f.members {
		<-m.ended
		if status := m.cmd.ProcessState.ExitCode(); status != 0 {
			t.Errorf("%s: exit status %d\n%s", m.name, status, m.said.String())
		}
	}
	_, most := f.windows(time.Time{}, time.Now(), time.Second)
	if n := len(f.items()); n != 100 || most > 103+int(100*stall().Seconds()) {
		t.Errorf("%d of 100 items are there, %d came in a second", n, most)
	}
	return f
}

// The engine wants a password and speaks TLS, and no process shows the password.
func TestQuotaSecured(t *testing.T) {
	together(t, true)
	const password = "hush-2f9c"
	redis := servers.StartRedis(t, servers.RedisConfig{Password: password, TLS: true})
	file := filepath.Join(t.TempDir(), "password")
	test.OK(t, os.WriteFile(file, []byte(password+"\n"), 0o600))
	for name, url := range map[string]string{
		"in the URL": "redis://:" + password + "@" + redis.Addr + quotaName,
		"in a file":  "redis://" + redis.Addr + quotaName + "file?password-file=" + file,
		"TLS":        "rediss://" + redis.TLS + quotaName + "TLS?password-file=" + file,
	} {
		f := delivers(t, url, "SSL_CERT_FILE="+redis.CACert)
		for _, m := range f.members {
			if strings.Contains(m.said.String(), password) {
				t.Errorf("%s: %s shows the password", name, m.name)
			}
		}
	}
}

// All keys of a quota are in one slot of a cluster.
func TestQuotaCluster(t *testing.T) {
	together(t, true)
	redis := servers.StartRedis(t, servers.RedisConfig{Args: []string{"--cluster-enabled", "yes"}})
	redis.Do(t, "CLUSTER", "ADDSLOTSRANGE", "0", "16383")
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(
		redis.Do(t, "CLUSTER", "INFO"), "cluster_state:ok"); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the cluster is not ready")
		}
	}
	delivers(t, "redis+cluster://"+redis.Addr+quotaName)
}

// When the master is gone, the sentinels name another, which the processes go on with.
func TestQuotaSentinel(t *testing.T) {
	together(t, true)
	const rate = 50
	master := servers.StartRedis(t, servers.RedisConfig{})
	host, port, _ := strings.Cut(master.Addr, ":")
	replica := servers.StartRedis(t, servers.RedisConfig{
		Args: []string{"--replicaof", host + " " + port},
	})
	conf := filepath.Join(t.TempDir(), "sentinel.conf") // which the sentinel rewrites
	test.OK(t, os.WriteFile(conf, []byte(strings.ReplaceAll(`sentinel monitor partners HOST 1
sentinel down-after-milliseconds partners 1000
sentinel failover-timeout partners 5000
`, "HOST", host+" "+port)), 0o600))
	sentinel := servers.StartRedis(t, servers.RedisConfig{Sentinel: conf})
	awaits(t, "the sentinel knows the replica", func() bool {
		return strings.Contains(sentinel.Do(t, "SENTINEL", "REPLICAS", "partners"), replica.Addr)
	})
	f := &fleet{counter: startCounter(t, 0), t: t, args: []string{"--rps", strconv.Itoa(rate)},
		url: "redis+sentinel://" + sentinel.Addr + quotaName + "?master_name=partners"}
	f.start("a", rate*60)
	f.start("b", rate*60)
	from := f.settled(3 * time.Second)
	master.Kill()
	awaits(t, "the replica is the master", func() bool {
		return strings.Contains(replica.Do(t, "ROLE"), "master")
	})
	promoted := time.Now()
	awaits(t, "it is used", func() bool {
		return strings.Contains(replica.Do(t, "PUBSUB", "CHANNELS"), "penstock")
	})
	t.Logf("used %v after it became the master", time.Since(promoted))
	time.Sleep(3 * time.Second)
	to := time.Now()
	f.tooMany(run{}, rate, from, to)
	if n := f.count(to.Add(-time.Second), to); n == 0 {
		t.Error("nothing is sent any more")
	}
	t.Logf("by half seconds: %v", f.course(from, to, time.Second/2))
}

// awaits waits until something is so.
func awaits(t *testing.T, what string, isSo func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !isSo(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it did not come true in 30 s that %s", what)
		}
	}
}

// A relay shares a quota with a run.
func TestQuotaRelay(t *testing.T) {
	together(t, false)
	const rate = 50
	f, _ := startFleet(t, 0, "--rps", strconv.Itoa(rate))
	relay := startRelay(t, f.URL, "--quota-from", f.url, "--rps", strconv.Itoa(rate))
	for range 20 {
		go func() {
			for t.Context().Err() == nil {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, relay+"/x", nil)
				if err != nil {
					return
				}
				req.Header.Set("X-Member", "relay")
				if resp, err := http.DefaultClient.Do(req); err == nil {
					resp.Body.Close()
				}
			}
		}()
	}
	f.start("a", rate*60)
	from := f.settled(4 * time.Second)
	share := idle()
	time.Sleep(5 * time.Second)
	to := time.Now()
	r := run{idle: share()}
	sent := f.hosts(from, to)
	t.Log(sent)
	f.tooMany(r, rate, from, to)
	f.enough(r, rate, 97, from, to)
	// The requests of a relay wait in a queue of its own, and throttle sees one at a time.
	if few := min(sent["a"], sent["relay"]); few == 0 || r.calm() && ratio(sent) > 1.5 {
		t.Errorf("the two do not share it: %v", sent)
	}
}

// quotaCommand runs penstock quota.
func (f *fleet) quotaCommand(args ...string) string {
	f.t.Helper()
	bin, err := penstock()
	test.OK(f.t, err)
	out, err := exec.Command(bin, append([]string{"quota"}, args...)...).CombinedOutput()
	if err != nil {
		f.t.Errorf("penstock quota %s: %v", strings.Join(args, " "), err)
	}
	f.t.Logf("penstock quota %s\n%s", strings.Join(args, " "), out)
	return string(out)
}

// What a person says of a quota holds at once for all that share it.
func TestQuotaChanged(t *testing.T) {
	together(t, true)
	f, _ := startFleet(t, 0, "--rps", "100")
	for _, name := range names[:2] {
		f.start(name, 100*60)
	}
	f.settled(3 * time.Second)
	share := idle()
	f.quotaCommand("set", f.url, "--rps", "20")
	slow := time.Now()
	time.Sleep(4 * time.Second)
	f.quotaCommand("pause", f.url, "--for", "1m")
	paused := time.Now()
	time.Sleep(2 * time.Second)
	shown := f.quotaCommand("show", f.url)
	resumed := time.Now() // the command ends a little after it has done so
	f.quotaCommand("resume", f.url)
	time.Sleep(2 * time.Second)
	r := run{idle: share()}
	f.tooMany(r, 20, slow.Add(time.Second), paused)
	obeyed := paused.Add(300*time.Millisecond + f.stalled(paused, resumed))
	for _, a := range f.between(obeyed, resumed) {
		t.Errorf("%s sends %v after the pause began", a.host, a.at.Sub(paused))
	}
	if f.count(resumed, time.Now()) == 0 {
		t.Error("nothing is sent after the pause")
	}
	for _, word := range []string{"partner", "20", "paused"} {
		if !strings.Contains(shown, word) {
			t.Errorf("show does not say %q", word)
		}
	}
}
