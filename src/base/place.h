#ifndef BASE_PLACE_H
#define BASE_PLACE_H

#include <stddef.h>

/* Where named things are: recipes and models that come with trimtab, and the Hugging Face cache. */

/*
 * The folder that holds recipes/, models/ and data/: $TRIMTAB_SHARE, else the
 * program's own folder or its parent (a build tree), else the installed one.
 */
int place_share(char *ret, size_t size);
/* A recipe: a file as it is, else NAME or NAME.json among the recipes that come with trimtab. TT_NOTFOUND with a sentence. */
int place_recipe(const char *name, char *ret, size_t size);
/* A model: a folder as it is, else models/NAME of the share, else a hub id org/name in the local cache. */
int place_model(const char *name, char *ret, size_t size);
/* The local Hugging Face cache: $HF_HUB_CACHE, $HF_HOME/hub, $XDG_CACHE_HOME/huggingface/hub, ~/.cache/huggingface/hub. */
int place_hub_cache(char *ret, size_t size);

#endif
