#include "live_options.h"

#include <CLI/CLI.hpp>

#include "base/error.h"
#include "options/number_options.h"

namespace foregate {
namespace {

constexpr uint64_t kMostPasses = 1'000'000;

}  // namespace

void add_live_options(CLI::App& command, LiveArguments& arguments) {
  live::TrainLiveOptions& options = arguments.options;
  collect::CollectOptions& texts = options.texts;
  const std::string group = "Training straight from the running model";
  auto* live = command
                   .add_flag("--live", arguments.live,
                             "Run --model over --data instead of reading --traces; nothing is "
                             "recorded. Several --predictor and --lead share the model's passes")
                   ->group(group);
  const auto only_live = [&](CLI::Option* option) { option->needs(live)->group(group); };
  only_live(add_data_option(command, arguments.data, ", as for collect"));
  only_live(add_number_option(command, "--texts", texts.traces, {1, kMostCounted},
                              "Texts in all, shared equally over the datasets"));
  only_live(add_number_option(command, "--max-length", texts.max_length, {1, kMostAtOnce},
                              "Cut texts to this many tokens"));
  only_live(add_seed_option(command, "--text-seed", texts.seed,
                            "Chooses and splits the texts, as --seed of collect does"));
  only_live(add_dtype_option(command, arguments.compute.dtype, "--model-dtype", "The model's "));
  only_live(add_quantize_option(command, arguments.compute.quantization,
                                "Of the model's weights, as for collect (default: what fits)"));
  only_live(add_number_option(command, "--buffer-tokens", options.buffer_tokens, {1, kMostAtOnce},
                              "Tokens in memory at a time, from which batches are drawn"));
  only_live(add_number_option(command, "--passes", options.passes, {0, kMostPasses},
                              "Of the model over the training texts; 0: as many as draw a token "
                              "four times a pass"));
}

void complete_live_options(LiveArguments& arguments, const std::string& model,
                           torch::Device device) {
  if (model.empty()) throw UsageError("--live needs the --model to run");
  collect::CollectOptions& texts = arguments.options.texts;
  set_texts_and_model(arguments.data, model, texts);
  texts.compute = parse_compute(arguments.compute, device);
}

}  // namespace foregate
