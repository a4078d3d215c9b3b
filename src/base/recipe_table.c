/* The keys of task, data, train and compute: defaults, ranges, one sentence each. */
#include "base/recipe.h"

#include "base/array.h"

/* Of steps and rows: so small that products of two fit into 64 bits. */
#define COUNT_MAX 1e9

#define AT(struct_name, field) offsetof(struct struct_name, field)

/* In the order of enum task_type and enum metric_name. */
#define TASK_NAMES "seq_cls|regression|token_cls|question_answering|cloze|mlm|causal_lm|seq2seq_lm"
#define METRIC_NAMES "accuracy|f1|macro_f1|mcc|pearson|spearman|exact_match|loss|perplexity|bleu|rouge_l"

static const struct knob task_knobs[] = {
	{ .name = "type", .type = KNOB_CHOICE, .at = AT(task_settings, type), .flags = KNOB_REQUIRED,
	  .choices = TASK_NAMES, .help = "What a row asks for." },
	{ .name = "labels", .type = KNOB_TEXTS, .at = AT(task_settings, labels), .flags = KNOB_OPTIONAL,
	  .help = "The classes in the order of their indices; without it, labels.json beside the training file, "
		  "else those in the data, sorted." },
	{ .name = "metric", .type = KNOB_CHOICE, .at = AT(task_settings, metric), .def = METRIC_DEFAULT,
	  .flags = KNOB_OPTIONAL, .choices = METRIC_NAMES, .help = "What \"best\" means; without it, by task." },
	{ .name = NULL }
};

static const struct knob data_knobs[] = {
	{ .name = "train", .type = KNOB_PATH, .at = AT(data_settings, train), .flags = KNOB_OPTIONAL,
	  .help = "Rows to learn from: .jsonl, .tsv, .csv or .txt, also gzipped." },
	{ .name = "validation", .type = KNOB_PATH, .at = AT(data_settings, validation), .flags = KNOB_OPTIONAL,
	  .help = "Rows to evaluate on while training." },
	{ .name = "test", .type = KNOB_PATH, .at = AT(data_settings, test), .flags = KNOB_OPTIONAL,
	  .help = "Rows kept for the end." },
	{ .name = "unlabeled", .type = KNOB_PATH, .at = AT(data_settings, unlabeled), .flags = KNOB_OPTIONAL,
	  .help = "Rows without labels, for PET and the auxiliary masked-LM loss." },
	{ .name = "text_a", .type = KNOB_TEXT, .at = AT(data_settings, text_a), .text = "text_a",
	  .help = "The column of the first text." },
	{ .name = "text_b", .type = KNOB_TEXT, .at = AT(data_settings, text_b), .text = "text_b",
	  .help = "The column of the second text, where there is one." },
	{ .name = "label", .type = KNOB_TEXT, .at = AT(data_settings, label), .text = "label",
	  .help = "The column of the label: its name or its index." },
	{ .name = "max_length", .type = KNOB_INT, .at = AT(data_settings, max_length), .def = 128, .min = 1,
	  .max = 1048576, .help = "Tokens a row may have, special tokens included; longer rows are cut." },
	{ .name = "limit", .type = KNOB_INT, .at = AT(data_settings, limit), .min = 1, .max = COUNT_MAX,
	  .flags = KNOB_OPTIONAL, .help = "Train on the first rows only." },
	{ .name = "eval_limit", .type = KNOB_INT, .at = AT(data_settings, eval_limit), .min = 1, .max = COUNT_MAX,
	  .flags = KNOB_OPTIONAL, .help = "Evaluate on the first rows only." },
	{ .name = "per_label_limit", .type = KNOB_INT, .at = AT(data_settings, per_label_limit), .min = 1,
	  .max = COUNT_MAX, .flags = KNOB_OPTIONAL, .help = "Train on the first rows of each label only." },
	{ .name = "shuffle", .type = KNOB_BOOL, .at = AT(data_settings, shuffle), .def = 1,
	  .help = "Draw a new order every epoch from train.seed; false keeps the file's order." },
	{ .name = "group_by_length", .type = KNOB_BOOL, .at = AT(data_settings, group_by_length),
	  .help = "Put rows of similar length into one batch." },
	{ .name = NULL }
};

#define OPTIM_NAMES "adamw|sgd|adafactor|adamw_8bit"
#define SCHEDULE_NAMES \
	"linear|constant|constant_with_warmup|cosine|cosine_with_restarts|polynomial|inverse_sqrt"

static const struct knob train_knobs[] = {
	{ .name = "num_train_epochs", .type = KNOB_REAL, .at = AT(train_settings, num_train_epochs), .def = 3,
	  .min = 0, .max = 1e6, .help = "Passes over the training rows." },
	{ .name = "max_steps", .type = KNOB_INT, .at = AT(train_settings, max_steps), .min = 1, .max = COUNT_MAX,
	  .flags = KNOB_OPTIONAL, .help = "Optimizer steps; overrides num_train_epochs." },
	{ .name = "per_device_train_batch_size", .type = KNOB_INT,
	  .at = AT(train_settings, per_device_train_batch_size), .def = 32, .min = 1, .max = 65536,
	  .help = "Rows in one training batch." },
	{ .name = "gradient_accumulation_steps", .type = KNOB_INT,
	  .at = AT(train_settings, gradient_accumulation_steps), .def = 1, .min = 1, .max = 65536,
	  .help = "Batches whose gradients make one optimizer step." },
	{ .name = "per_device_eval_batch_size", .type = KNOB_INT,
	  .at = AT(train_settings, per_device_eval_batch_size), .def = 64, .min = 1, .max = 65536,
	  .help = "Rows in one evaluation batch." },
	{ .name = "logging_steps", .type = KNOB_INT, .at = AT(train_settings, logging_steps), .def = 1, .min = 1,
	  .max = COUNT_MAX, .help = "Steps between two rows of training metrics." },
	{ .name = "eval_steps", .type = KNOB_INT, .at = AT(train_settings, eval_steps), .max = COUNT_MAX,
	  .help = "Steps between two evaluations; 0: once per epoch." },
	{ .name = "save_steps", .type = KNOB_INT, .at = AT(train_settings, save_steps), .max = COUNT_MAX,
	  .help = "Steps between two checkpoints; 0: once per epoch." },
	{ .name = "save_total_limit", .type = KNOB_INT, .at = AT(train_settings, save_total_limit), .def = 2,
	  .min = 1, .max = COUNT_MAX, .help = "Checkpoints kept; older ones are removed, the best one never." },
	{ .name = "seed", .type = KNOB_INT, .at = AT(train_settings, seed), .def = 42, .max = 9007199254740992.0,
	  .help = "Everything random follows from it." },
	{ .name = "early_stopping_patience", .type = KNOB_INT, .at = AT(train_settings, early_stopping_patience),
	  .min = 1, .max = COUNT_MAX, .flags = KNOB_OPTIONAL,
	  .help = "Stop after so many evaluations without a better one." },
	{ .name = "dropout", .type = KNOB_REAL, .at = AT(train_settings, dropout), .max = 1,
	  .flags = KNOB_OPTIONAL | KNOB_OPEN_MAX, .help = "The base model's dropout; without it, the model's own." },
	{ .name = "optim", .type = KNOB_CHOICE, .at = AT(train_settings, optim), .choices = OPTIM_NAMES,
	  .help = "The optimizer." },
	{ .name = "lr_scheduler_type", .type = KNOB_CHOICE, .at = AT(train_settings, lr_scheduler_type),
	  .choices = SCHEDULE_NAMES, .help = "How the learning rate changes over the run." },
	{ .name = "learning_rate", .type = KNOB_REAL, .at = AT(train_settings, learning_rate), .def = 5e-4,
	  .max = 1000, .flags = KNOB_OPTIONAL, .help = "The highest learning rate; without it 5e-4, for full 2e-5." },
	{ .name = "weight_decay", .type = KNOB_REAL, .at = AT(train_settings, weight_decay), .max = 1000,
	  .help = "Decoupled weight decay; biases and norms are spared." },
	{ .name = "adam_beta1", .type = KNOB_REAL, .at = AT(train_settings, adam_beta1), .def = 0.9, .max = 1,
	  .flags = KNOB_OPEN_MAX, .help = "Decay of the first moment." },
	{ .name = "adam_beta2", .type = KNOB_REAL, .at = AT(train_settings, adam_beta2), .def = 0.999, .max = 1,
	  .flags = KNOB_OPEN_MAX, .help = "Decay of the second moment." },
	{ .name = "adam_epsilon", .type = KNOB_REAL, .at = AT(train_settings, adam_epsilon), .def = 1e-8, .max = 1,
	  .help = "Added to the denominator." },
	{ .name = "max_grad_norm", .type = KNOB_REAL, .at = AT(train_settings, max_grad_norm), .def = 1,
	  .max = 1e9, .help = "Longer gradients are scaled down to this; 0: never." },
	{ .name = "warmup_ratio", .type = KNOB_REAL, .at = AT(train_settings, warmup_ratio), .max = 1,
	  .help = "Share of the steps with a rising learning rate." },
	{ .name = "warmup_steps", .type = KNOB_INT, .at = AT(train_settings, warmup_steps), .max = COUNT_MAX,
	  .help = "Steps with a rising learning rate; overrides warmup_ratio when not 0." },
	{ .name = "label_smoothing_factor", .type = KNOB_REAL, .at = AT(train_settings, label_smoothing_factor),
	  .max = 1, .flags = KNOB_OPEN_MAX, .help = "Probability spread evenly over all classes." },
	{ .name = "sgd_momentum", .type = KNOB_REAL, .at = AT(train_settings, sgd_momentum), .max = 1,
	  .flags = KNOB_OPEN_MAX, .help = "Momentum of optim sgd." },
	{ .name = "load_best_model_at_end", .type = KNOB_BOOL, .at = AT(train_settings, load_best_model_at_end),
	  .help = "End with the best checkpoint by task.metric instead of the last." },
	{ .name = "gradient_checkpointing", .type = KNOB_BOOL, .at = AT(train_settings, gradient_checkpointing),
	  .help = "Compute activations again instead of keeping them: less memory, more time." },
	{ .name = NULL }
};

static const struct knob compute_knobs[] = {
	{ .name = "precision", .type = KNOB_CHOICE, .at = AT(compute_settings, precision),
	  .choices = "auto|fp32|bf16", .help = "Numbers in matrix products; auto takes what is fastest here." },
	{ .name = "backend", .type = KNOB_CHOICE, .at = AT(compute_settings, backend),
	  .choices = "auto|openblas|onednn|ref", .help = "Which library multiplies matrices." },
	{ .name = "base_quant", .type = KNOB_CHOICE, .at = AT(compute_settings, base_quant),
	  .choices = "none|nf4|fp4|int8", .help = "How the frozen weights are held (QLoRA: nf4)." },
	{ .name = "double_quant", .type = KNOB_BOOL, .at = AT(compute_settings, double_quant),
	  .help = "Quantize the scales of base_quant too." },
	{ .name = "executor", .type = KNOB_CHOICE, .at = AT(compute_settings, executor),
	  .choices = "local|slurm|mpi", .help = "Who runs the engine." },
	{ .name = "threads", .type = KNOB_INT, .at = AT(compute_settings, threads), .max = 4096,
	  .help = "Threads; 0: all cores." },
	{ .name = "memory_limit", .type = KNOB_INT, .at = AT(compute_settings, memory_limit), .min = 1,
	  .max = 9007199254740992.0, .flags = KNOB_OPTIONAL | KNOB_BYTES,
	  .help = "Refuse before start what would need more memory." },
	{ .name = NULL }
};

const struct knob *recipe_task_knobs(void)
{
	return task_knobs;
}

const struct knob *recipe_data_knobs(void)
{
	return data_knobs;
}

const struct knob *recipe_train_knobs(void)
{
	return train_knobs;
}

const struct knob *recipe_compute_knobs(void)
{
	return compute_knobs;
}

const char *recipe_task_name(int type)
{
	static const char *const name[] = {
		[TASK_SEQ_CLS] = "seq_cls", [TASK_REGRESSION] = "regression", [TASK_TOKEN_CLS] = "token_cls",
		[TASK_QUESTION_ANSWERING] = "question_answering", [TASK_CLOZE] = "cloze", [TASK_MLM] = "mlm",
		[TASK_CAUSAL_LM] = "causal_lm", [TASK_SEQ2SEQ_LM] = "seq2seq_lm",
	};

	return type >= 0 && (size_t)type < COUNT(name) ? name[type] : "?";
}

const char *recipe_metric_name(int metric)
{
	static const char *const name[] = {
		[METRIC_ACCURACY] = "accuracy", [METRIC_F1] = "f1", [METRIC_MACRO_F1] = "macro_f1",
		[METRIC_MCC] = "mcc", [METRIC_PEARSON] = "pearson", [METRIC_SPEARMAN] = "spearman",
		[METRIC_EXACT_MATCH] = "exact_match", [METRIC_LOSS] = "loss", [METRIC_PERPLEXITY] = "perplexity",
		[METRIC_BLEU] = "bleu", [METRIC_ROUGE_L] = "rouge_l", [METRIC_DEFAULT] = "default",
	};

	return metric >= 0 && (size_t)metric < COUNT(name) ? name[metric] : "?";
}
