"""What the comparisons share: our binary's runs, the rows of their table, the machine, the results."""
import argparse, datetime, json, os, pathlib, platform, statistics, subprocess, sys, time

ROOT = pathlib.Path(__file__).resolve().parents[2]


def timed(work):
    """Seconds that it takes, and what it returns."""
    start = time.perf_counter()
    value = work()
    return time.perf_counter() - start, value


class Run:
    """What all jobs share: our binary, the inputs, the rounds and the rows so far."""

    def __init__(self, options, size):
        self.patron, self.folder, self.size = options.patron, options.inputs, size
        self.rounds, self.repeat = options.rounds, options.repeat
        self.rows, self.roofline_file = [], None

    def command(self, *arguments):
        """One run of `patron`, what it prints."""
        return self.program(self.patron, *arguments)

    def program(self, *command):
        """One run of a program, what it prints."""
        command = list(map(str, command))
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)}\n{done.stderr}")
        return done.stdout

    def lab(self, *arguments):
        """One run of `patron lab`, its JSON."""
        limits = ["--roofline", self.roofline_file] if self.roofline_file else []
        return json.loads(self.command("lab", *arguments, "--json", *limits))

    def add(self, job, unit, ours, peer=None, theirs=None, target=None, **checks):
        """A line of the table: of lists the medians; the ratio is theirs / ours."""
        line = dict(job=job, unit=unit, ours=statistics.median(ours), peer=peer, target=target,
                    ours_range=[min(ours), max(ours)], rounds=len(ours), checks=checks)
        if theirs:
            line["theirs"] = statistics.median(theirs)
            line["theirs_range"] = [min(theirs), max(theirs)]
            line["ratio"] = line["theirs"] / line["ours"] if line["ours"] else None
        self.rows.append(line)
        print(json.dumps(line), flush=True)


def parser(description, jobs):
    """The options that every comparison has."""
    result = argparse.ArgumentParser(description=description.split("\n\n")[0])
    result.add_argument("--patron", default=str(ROOT / ".build/release/patron"))
    result.add_argument("--folder", type=pathlib.Path, default=ROOT / ".build/benchmark-inputs")
    result.add_argument("--rounds", type=int, default=5)
    result.add_argument("--repeat", type=int, default=3, help="runs of ours in one process")
    result.add_argument("--only", nargs="+", choices=jobs, default=list(jobs))
    result.add_argument("--results", type=pathlib.Path, default=ROOT / "Benchmarks/results")
    result.add_argument("--smoke", "--quick", action="store_true", help="small and short; writes nothing")
    return result


def machine():
    """Where and when; `load_after` is for the end."""
    with open("/proc/cpuinfo") as lines:
        names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    commit = subprocess.run(
        ["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    return dict(
        date=datetime.date.today().isoformat(), system=platform.platform(), cores=os.cpu_count(),
        processor=names[0] if names else platform.processor(), python=platform.python_version(),
        commit=commit.stdout.strip(), load_before=round(os.getloadavg()[0], 2))


def save(options, name, machine, run, table):
    """Prints the table; keeps it and the rows, but for a run of small inputs."""
    machine["load_after"] = round(os.getloadavg()[0], 2)
    text = table(run, machine)
    if not options.smoke:
        options.results.mkdir(parents=True, exist_ok=True)
        stem = options.results / f"{machine['date']}-{name}"
        stem.with_suffix(".json").write_text(
            json.dumps(dict(machine=machine, rows=run.rows), indent=1) + "\n")
        stem.with_suffix(".md").write_text(text)
    print(text)
