#ifndef METHOD_ADAPTER_H
#define METHOD_ADAPTER_H

#include "method/method.h"

/*
 * Adapter folders as Hugging Face PEFT 0.21 writes them: adapter_config.json
 * and adapter_model.safetensors (peft-methods 2.6).
 */

/* Write the folder (created when absent). base_name goes into base_model_name_or_path. */
int adapter_save(const struct method *m, const char *dir, const char *base_name);
/*
 * Read an adapter folder's tensors into the method's parameters. Strict: a
 * tensor too many, missing or of another shape is an error that lists them;
 * PEFT's spare copies (peft-methods 2.6) are accepted. The config must agree
 * with the settings where they change the function; keys PEFT may write that
 * change the function and are not supported are refused by name.
 */
int adapter_load(struct method *m, const char *dir);

#endif
