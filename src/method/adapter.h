#ifndef METHOD_ADAPTER_H
#define METHOD_ADAPTER_H

#include "method/method.h"

/*
 * Adapter folders as Hugging Face PEFT 0.21 writes them: adapter_config.json
 * and adapter_model.safetensors (peft-methods 2.6). Where these hold a prompt
 * that an encoder made, the encoder lies beside them: prompt_encoder.safetensors.
 */

/*
 * Write the folder (created when absent). base_name goes into base_model_name_or_path.
 * What the method makes is made anew before.
 */
int adapter_save(struct method *m, const char *dir, const char *base_name);
/*
 * Read an adapter folder's tensors into the method's parameters. Strict: a
 * tensor too many, missing or of another shape is an error that lists them;
 * PEFT's spare copies (peft-methods 2.6) are accepted. The config must agree
 * with the settings where they change the function; keys PEFT may write that
 * change the function and are not supported are refused by name.
 */
int adapter_load(struct method *m, const char *dir);

/* The config alone; reading it checks it, and methods adopt from it. */
int adapter_write_config(const struct method *m, const char *dir, const char *base_name);
int adapter_read_config(struct method *m, const char *dir);
/* The members of a JSON object that was written with two spaces of indent, sorted by key; text is used up. */
int adapter_sort_members(char *text, struct buf *out);
/* For adapter.c: the methods' own files in the folder, of all parts; loading wants each of them. */
int adapter_side_save(const struct method *m, const char *dir);
int adapter_side_load(struct method *m, const char *dir);

/* For methods: members of adapter_config.json, as PEFT writes them. */
void adapter_write_bool(struct jsonw *w, const char *key, bool v);
/* A number as Python prints a float, so that 0 is "0.0"; the key is the caller's. */
void adapter_write_float(struct jsonw *w, double v);
void adapter_write_texts(struct jsonw *w, const char *key, const struct texts *t);
/* What PEFT keeps as a set, so that its order says nothing: sorted, files compare. */
int adapter_write_set(const struct method *m, struct jsonw *w, const char *key,
		      const struct texts *t);
/* layers_to_transform and layers_pattern. */
void adapter_write_layers(struct jsonw *w, const struct targeting *t);
/* ... and reading them: false, or `otherwise`, when it is not there or of another type. */
bool adapter_true(const struct json *config, const char *key);
double adapter_number(const struct json *config, const char *key, double otherwise);
/*
 * For methods' `agrees`: refuse by name every member of a config that is set
 * (not null, false, 0, "", [] or {}) and is neither in `known` nor common to all
 * of PEFT's configs: it may change what the adapter computes.
 */
int adapter_refuse_others(const struct json *config, const char *const *known, size_t n);
/* An adapter_config.json's text against a method, without files; for tests and fuzzing. */
int adapter_check_config(const struct method *m, const char *text, size_t size);

#endif
