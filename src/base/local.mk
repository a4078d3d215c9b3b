noinst_LIBRARIES += %D%/libbase.a
%C%_libbase_a_SOURCES = %D%/array.h %D%/arena.c %D%/arena.h %D%/args.c %D%/args.h %D%/buf.c \
	%D%/buf.h %D%/command.c %D%/command.h %D%/err.c %D%/err.h %D%/fs.c %D%/fs.h %D%/json.c %D%/json.h \
	%D%/knob.c %D%/knob.h %D%/log.c %D%/log.h %D%/mersenne.c %D%/mersenne.h %D%/number.c %D%/number.h \
	%D%/place.c %D%/place.h %D%/proc.c %D%/proc.h %D%/recipe.c %D%/recipe.h %D%/recipe_table.c \
	%D%/rng.c %D%/rng.h %D%/stats.c %D%/stats.h
%C%_libbase_a_CPPFLAGS = $(AM_CPPFLAGS) $(CJSON_CFLAGS) -DLIBEXECDIR='"$(libexecdir)"' \
	-DPKGDATADIR='"$(pkgdatadir)"'
BASE_LIBS = src/base/libbase.a $(CJSON_LIBS)
EXTRA_DIST += %D%/README.md
