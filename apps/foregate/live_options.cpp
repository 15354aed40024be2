#include "live_options.h"

#include <CLI/CLI.hpp>

#include "base/error.h"

namespace foregate {

void add_live_options(CLI::App& command, LiveArguments& arguments) {
  live::TrainLiveOptions& options = arguments.options;
  collect::CollectOptions& texts = options.texts;
  const std::string group = "Training straight from the running model";
  auto* live = command
                   .add_flag("--live", arguments.live,
                             "Run --model over --data instead of reading --traces; nothing is "
                             "recorded. Several --predictor and --lead share the model's passes")
                   ->group(group);
  add_data_option(command, arguments.data, ", as for collect")->needs(live)->group(group);
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
  add_dtype_option(command, arguments.compute.dtype, "--model-dtype", "The model's ")
      ->needs(live)
      ->group(group);
  add_quantize_option(command, arguments.compute.quantization,
                      "Of the model's weights, as for collect (default: what fits)")
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
                           torch::Device device) {
  if (model.empty()) throw UsageError("--live needs the --model to run");
  collect::CollectOptions& texts = arguments.options.texts;
  set_texts_and_model(arguments.data, model, texts);
  texts.compute = parse_compute(arguments.compute, device);
}

}  // namespace foregate
