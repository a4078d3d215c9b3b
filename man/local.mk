dist_man_MANS += %D%/trimtab.1 %D%/trimtab-engine.1 %D%/trimtab-recipe.5
