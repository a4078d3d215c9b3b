bin_PROGRAMS += trimtab
trimtab_SOURCES = %D%/main.c
trimtab_LDADD = $(CMD_LIBS)
