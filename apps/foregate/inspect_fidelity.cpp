#include "inspect_fidelity.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/number_text.h"
#include "output.h"

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
          {"device", options.device},
          {"dtype", options.dtype},
          {"quantization", options.quantization},
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
  print_line(fmt::format("{}, quantisation {}, against float32 on {} tokens of {} texts",
                         options.dtype, options.quantization, with_commas(fidelity.tokens),
                         with_commas(fidelity.texts)));
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
  only_here(
      command.add_option("--data", arguments.data, "NAME=PATH[:COLUMN], once for each dataset")
          ->allow_extra_args(false));
  only_here(command.add_option("--texts", options.texts, "Texts in all, shared over the datasets")
                ->check(CLI::PositiveNumber)
                ->capture_default_str());
  only_here(command.add_option("--max-length", options.max_length, "Cut texts to this many tokens")
                ->check(CLI::PositiveNumber)
                ->capture_default_str());
  only_here(command.add_option("--quantize", options.quantization, "none, int8 or nf4")
                ->check(CLI::IsMember({"none", "int8", "nf4"}))
                ->capture_default_str());
  only_here(command.add_option("--dtype", options.dtype, "float32, bfloat16 or float16")
                ->check(CLI::IsMember({"float32", "bfloat16", "float16"}))
                ->capture_default_str());
  only_here(command
                .add_option("--device", options.device,
                            "cpu, cuda (the GPU with the most free memory) or cuda:N")
                ->capture_default_str());
  only_here(command.add_option("--seed", options.seed, "Chooses the texts")->capture_default_str());
}

void run_fidelity(const std::filesystem::path& model, FidelityArguments& arguments, bool json,
                  const RunContext& run) {
  collect::FidelityOptions& options = arguments.options;
  if (arguments.data.empty()) {
    throw UsageError("--fidelity needs texts; name at least one dataset with --data NAME=PATH");
  }
  options.model = model;
  for (const std::string& data : arguments.data)
    options.data.push_back(text::DatasetSpec::parse(data));
  const collect::Fidelity fidelity = collect::measure_fidelity(options, run);
  if (json) {
    print_json(to_json(fidelity, options));
  } else {
    print_table(fidelity, options);
  }
}

}  // namespace foregate
