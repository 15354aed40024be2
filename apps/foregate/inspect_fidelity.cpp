#include "inspect_fidelity.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/number_text.h"
#include "options/number_options.h"
#include "output.h"
#include "tensor/dtype.h"

namespace foregate {
namespace {

Json to_json(const collect::FidelityRow& row) {
  return {{"same_set", row.same_set},
          {"recall", row.recall},
          {"top-1", row.top1},
          {"logit_error", row.logit_error}};
}

Json to_json(const collect::Fidelity& fidelity, const collect::FidelityOptions& options) {
  Json layers = Json::array();
  for (const collect::FidelityRow& row : fidelity.layers) layers.push_back(to_json(row));
  return {{"kind", "fidelity"},
          {"model", options.model.string()},
          {"device", options.compute.device.str()},
          {"dtype", tensor::dtype_name(options.compute.dtype)},
          {"quantization", tensor::quantization_name(options.compute.quantization.value())},
          {"texts", fidelity.texts},
          {"tokens", fidelity.tokens},
          {"all", to_json(fidelity.all)},
          {"layers", layers}};
}

void print_row(const std::string& name, const collect::FidelityRow& row) {
  print_line(fmt::format("{:<10} {:>9.2f}% {:>9.2f}% {:>9.2f}% {:>12.4f}", name, 100 * row.same_set,
                         100 * row.recall, 100 * row.top1, row.logit_error));
}

void print_table(const collect::Fidelity& fidelity, const collect::FidelityOptions& options) {
  print_line(fmt::format("{}, quantisation {}, against float32 on {} of {}",
                         tensor::dtype_name(options.compute.dtype),
                         tensor::quantization_name(options.compute.quantization.value()),
                         number_of(fidelity.tokens, "token"), number_of(fidelity.texts, "text")));
  print_line(fmt::format("{:<10} {:>10} {:>10} {:>10} {:>12}", "MoE layer", "same set", "recall",
                         "top-1", "logit error"));
  for (size_t layer = 0; layer < fidelity.layers.size(); ++layer) {
    print_row(std::to_string(layer), fidelity.layers[layer]);
  }
  print_row("mean", fidelity.all);
}

}  // namespace

void add_fidelity_options(CLI::App& command, FidelityArguments& arguments) {
  collect::FidelityOptions& options = arguments.options;
  const char* group = "Fidelity";
  CLI::Option* wanted =
      command.add_flag("--fidelity", arguments.wanted,
                       "Route texts in float32 and as asked below, and show how well both agree");
  wanted->group(group);
  const auto only_here = [&](CLI::Option* option) { return option->group(group)->needs(wanted); };
  only_here(add_data_option(command, arguments.data));
  only_here(add_number_option(command, "--texts", options.texts, {1, kMostCounted},
                              "Texts in all, shared over the datasets"));
  only_here(add_number_option(command, "--max-length", options.max_length, {1, kMostAtOnce},
                              "Cut texts to this many tokens"));
  only_here(add_quantize_option(command, arguments.compute.quantization, "none, int8 or nf4"));
  only_here(add_dtype_option(command, arguments.compute.dtype));
  only_here(add_device_option(command, arguments.compute.device));
  only_here(add_seed_option(command, "--seed", options.seed, "Chooses the texts"));
}

void run_fidelity(const std::filesystem::path& model, FidelityArguments& arguments, bool json,
                  const RunContext& run) {
  collect::FidelityOptions& options = arguments.options;
  if (arguments.data.empty()) {
    throw UsageError("--fidelity needs texts; name at least one dataset with --data NAME=PATH");
  }
  options.model = model;
  options.data = find_datasets(arguments.data);
  options.compute = parse_compute(arguments.compute, run.log);
  const collect::Fidelity fidelity = collect::measure_fidelity(options, run);
  if (json) {
    print_json(to_json(fidelity, options));
  } else {
    print_table(fidelity, options);
  }
}

}  // namespace foregate
