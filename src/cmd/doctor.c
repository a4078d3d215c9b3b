/* doctor: what this machine can do, and what stands in the way. */
#include <langinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sched.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/place.h"
#include "base/proc.h"
#include "cmd/catalogue.h"
#include "cmd/cmd.h"

struct report {
	struct buf *out;
	struct jsonw *json; /* NULL: plain text */
};

static void say(struct report *r, const char *key, const char *value)
{
	if (r->json) {
		jsonw_key(r->json, key);
		jsonw_text(r->json, value);
	} else {
		buf_printf(r->out, "%s%-18s %s", r->out->size ? "\n" : "", key, value);
	}
}

/* The value behind "KEY :" in a file of /proc. */
static void proc_value(const char *path, const char *key, char *ret, size_t size)
{
	char line[512];
	FILE *f = fopen(path, "r");

	snprintf(ret, size, "unknown");
	while (f && fgets(line, sizeof(line), f)) {
		const char *colon = strchr(line, ':');

		if (!colon || strncmp(line, key, strlen(key)) != 0)
			continue;
		colon += 1 + strspn(colon + 1, " \t");
		snprintf(ret, size, "%.*s", (int)strcspn(colon, "\n"), colon);
		break;
	}
	if (f)
		fclose(f);
}

static void machine(struct report *r)
{
	char text[256], mem[128], free_now[128];
	cpu_set_t set;

	proc_value("/proc/cpuinfo", "model name", text, sizeof(text));
	say(r, "processor", text);
	CPU_ZERO(&set);
	snprintf(text, sizeof(text), "%d",
		 sched_getaffinity(0, sizeof(set), &set) ? 1 : CPU_COUNT(&set));
	say(r, "threads", text);
	proc_value("/proc/meminfo", "MemTotal", mem, sizeof(mem));
	proc_value("/proc/meminfo", "MemAvailable", free_now, sizeof(free_now));
	snprintf(text, sizeof(text), "%.1f GiB, %.1f GiB available", strtod(mem, NULL) / (1 << 20),
		 strtod(free_now, NULL) / (1 << 20));
	say(r, "memory", text);
}

static void engine(struct report *r)
{
	const char *f[CATALOGUE_FIELDS];
	struct catalogue c;
	char text[PATH_MAX];

	if (proc_engine_path(text, sizeof(text))) {
		say(r, "engine", err_text());
		return;
	}
	say(r, "engine", text);
	if (catalogue_open(&c)) {
		say(r, "matrix products", err_text());
		return;
	}
	while (catalogue_next(&c, f))
		if (!strcmp(f[0], "backend")) {
			char key[64];

			snprintf(key, sizeof(key), "backend %s", f[1]);
			say(r, key, f[2]);
		}
	catalogue_done(&c);
}

/* One line a product: the figures that a run chose its backend by. */
static void product(struct report *r, const struct json *j)
{
	static const char *const name[] = { "onednn", "openblas", "ref" };
	const struct json *gflops = json_get(j, "gflops");
	const char *side = json_text(json_get(j, "side"));
	char key[64], text[128] = "GFLOPS:";
	int64_t in, out;
	size_t at = strlen(text);

	if (!json_get(j, "in") || !json_get(j, "out") || !json_int(json_get(j, "in"), &in) ||
	    !json_int(json_get(j, "out"), &out) || !side || !gflops)
		return;
	snprintf(key, sizeof(key), "%s %lldx%lld", strcmp(side, "backward") ? "x W^T" : "g W",
		 (long long)out, (long long)in);
	for (size_t i = 0; i < sizeof(name) / sizeof(name[0]) && at < sizeof(text); i++)
		if (json_get(gflops, name[i]))
			at += (size_t)snprintf(text + at, sizeof(text) - at, " %s %.1f", name[i],
					       json_number(json_get(gflops, name[i])));
	say(r, key, text);
}

/* What runs have timed so far, on this machine or the one they ran on. */
static void timings(struct report *r)
{
	char path[PATH_MAX], home[PATH_MAX];
	struct json *root;

	if (fs_home(home, sizeof(home)) || fs_join(path, sizeof(path), home, "backends.json") ||
	    !fs_exists(path) || json_load(path, 1 << 18, &root)) {
		say(r, "products",
		    "not timed yet; the first run with compute.backend auto does it");
		return;
	}
	for (const struct json *j = json_first(json_get(root, "products")); j; j = json_next(j))
		product(r, j);
	json_free(root);
}

static void terminal(struct report *r)
{
	const char *term = getenv("TERM");

	say(r, "terminal", term && *term ? term : "none (TERM is not set)");
	say(r, "locale", nl_langinfo(CODESET));
	say(r, "colour", cmd_colour(STDOUT_FILENO) ? "yes" : "no");
}

/* The nearest folder above a path that is there already: where a first run would be made. */
static void existing_parent(const char *path, char *ret, size_t size)
{
	char up[PATH_MAX];

	snprintf(ret, size, "%s", path);
	while (!fs_exists(ret) && !fs_dirname(up, sizeof(up), ret) && strcmp(up, ret) != 0)
		snprintf(ret, size, "%s", up);
}

static void places(struct report *r)
{
	char path[PATH_MAX], at[PATH_MAX], text[PATH_MAX];
	struct statvfs v;
	struct store *st;

	if (fs_home(path, sizeof(path))) {
		say(r, "data home", err_text());
		return;
	}
	say(r, "data home", path);
	existing_parent(path, at, sizeof(at));
	if (!statvfs(at, &v)) {
		snprintf(text, sizeof(text), "%.1f GiB free%s",
			 (double)v.f_bavail * (double)v.f_frsize / (1 << 30),
			 access(at, W_OK) ? ", and not writable" : "");
		say(r, "disk", text);
	}
	say(r, "file system", fs_network(at) ? fs_network(at) : "local");
	if (!cmd_open_read(&st)) {
		say(r, "run log", store_journal(st));
		store_close(st);
	} else {
		say(r, "run log", err_text());
	}
	if (!place_share(path, sizeof(path)))
		say(r, "recipes, models", path);
	if (!place_hub_cache(path, sizeof(path)))
		say(r, "Hugging Face cache", path);
}

static int doctor(const struct args *a)
{
	struct buf out;
	struct jsonw w;
	struct report r = { &out, args_has(a, "--json") ? &w : NULL };
	int code;

	buf_init(&out, 1 << 20);
	if (r.json) {
		jsonw_init(&w, &out, 0);
		jsonw_object(&w);
	}
	say(&r, "trimtab", PACKAGE_VERSION);
	machine(&r);
	engine(&r);
	timings(&r);
	terminal(&r);
	places(&r);
	if (r.json)
		jsonw_end(&w, '}');
	code = cmd_print(&out);
	buf_done(&out);
	return code;
}

static const struct arg options[] = {
	{ "--json", 0, NULL, "one JSON document" },
	{ 0 },
};

const struct command command_doctor = {
	.name = "doctor",
	.usage = "[--json]",
	.summary = "Say what this machine can do: processor, libraries, memory, terminal, places.",
	.options = options,
	.max_args = 0,
	.run = doctor,
};
