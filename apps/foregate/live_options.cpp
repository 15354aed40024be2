#include "live_options.h"

#include <CLI/CLI.hpp>

#include "base/error.h"
#include "hub/resolve.h"

namespace foregate {

void add_live_options(CLI::App& command, LiveArguments& arguments) {
  live::TrainLiveOptions& options = arguments.options;
  collect::CollectOptions& texts = options.texts;
  texts.dtype.clear();  // Chosen by the device unless it is given.
  const std::string group = "Training straight from the running model";
  auto* live = command
                   .add_flag("--live", arguments.live,
                             "Run --model over --data instead of reading --traces; nothing is "
                             "recorded. Several --predictor and --lead share the model's passes")
                   ->group(group);
  command
      .add_option("--data", arguments.data,
                  "NAME=PATH[:COLUMN], once for each dataset, as for collect")
      ->allow_extra_args(false)
      ->needs(live)
      ->group(group);
  command.add_option("--texts", texts.traces, "Texts in all, shared equally over the datasets")
      ->check(CLI::PositiveNumber)
      ->capture_default_str()
      ->needs(live)
      ->group(group);
  command.add_option("--max-length", texts.max_length, "Cut texts to this many tokens")
      ->check(CLI::PositiveNumber)
      ->capture_default_str()
      ->needs(live)
      ->group(group);
  command
      .add_option("--text-seed", texts.seed,
                  "Chooses and splits the texts, as --seed of collect does")
      ->capture_default_str()
      ->needs(live)
      ->group(group);
  command
      .add_option("--model-dtype", texts.dtype,
                  "The model's float32, bfloat16 or float16 (default: float32 on the CPU, bfloat16 "
                  "on a GPU)")
      ->check(CLI::IsMember({"float32", "bfloat16", "float16"}))
      ->needs(live)
      ->group(group);
  command
      .add_option("--quantize", texts.quantization,
                  "Of the model's weights, as for collect (default: what fits)")
      ->check(CLI::IsMember({"none", "int8", "nf4"}))
      ->needs(live)
      ->group(group);
  command
      .add_option("--buffer-tokens", options.buffer_tokens,
                  "Tokens in memory at a time, from which batches are drawn")
      ->check(CLI::PositiveNumber)
      ->capture_default_str()
      ->needs(live)
      ->group(group);
  command
      .add_option("--passes", options.passes,
                  "Of the model over the training texts; 0: as many as draw a token four times a "
                  "pass")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str()
      ->needs(live)
      ->group(group);
}

void complete_live_options(LiveArguments& arguments, const std::string& model,
                           const std::string& device) {
  if (model.empty()) throw UsageError("--live needs the --model to run");
  const hub::Environment environment = hub::read_environment();
  collect::CollectOptions& texts = arguments.options.texts;
  for (const std::string& data : arguments.data) {
    text::DatasetSpec spec = text::DatasetSpec::parse(data);
    spec.path = hub::find_dataset(spec.path.string(), environment);
    texts.data.push_back(std::move(spec));
  }
  texts.model = hub::find_model(
      model, {.files = {"config.json", "tokenizer.json"}, .weights = true}, environment);
  texts.model_name = hub::model_name(texts.model);
  texts.device = device;
  if (texts.dtype.empty()) texts.dtype = device == "cpu" ? "float32" : "bfloat16";
}

}  // namespace foregate
