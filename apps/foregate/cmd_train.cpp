#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "commands.h"
#include "output.h"
#include "predict/registry.h"
#include "predict/train.h"
#include "predict_options.h"
#include "tensor/gpus.h"

namespace foregate {
namespace {

constexpr const char* kFooter =
    "examples:\n"
    "  foregate train --traces traces --predictor statistics --lead layer-1 --output statistics\n"
    "  foregate train --traces traces --predictor gate-mlp --lead layer-1 --output gate-mlp\n"
    "  foregate train --traces traces --predictor transformer --lead next-token --device cuda "
    "--output transformer\n"
    "  foregate train --traces traces --predictor mlp --lead pre-attention --config settings.json "
    "--output mlp\n"
    "next-gate, gate-adapter, gate-mlp and mlp read hidden states: collect the traces with "
    "--record features.\n"
    "Stopped at any moment, the same command continues from the last checkpoint.";

struct Arguments {
  TrainOptions options;
  std::string lead;
  std::string model;
  bool json = false;
};

void run_train(Arguments& arguments) {
  TrainOptions& options = arguments.options;
  options.lead = parse_lead(arguments.lead);
  if (find_predictor_kind(options.predictor) == nullptr) {
    throw UsageError(fmt::format("there is no predictor '{}'; expected one of {}",
                                 options.predictor, predictor_list()));
  }
  options.routers = routers_of_model(arguments.model);
  options.progress = true;
  options.device = choose_device(options.device);
  const TrainSummary summary = train_predictor(options);
  if (arguments.json) {
    Json result = summary.info.to_json();
    result["output"] = options.output.string();
    result["already_done"] = summary.already_done;
    print_json(result);
    return;
  }
  std::string measured;
  for (const auto& [metric, value] : summary.info.validation) {
    measured += fmt::format("{}{} {:.1f}%", measured.empty() ? "; validation: " : ", ", metric,
                            100 * value);
  }
  print_line(fmt::format("{}{}: {} at {}{}", options.output.string(),
                         summary.already_done ? " is there already" : "", summary.info.name,
                         lead_name(summary.info.lead), measured));
}

}  // namespace

void add_train_command(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  TrainOptions& options = arguments->options;
  CLI::App* command =
      app.add_subcommand("train", "Fit a predictor on the training split of a trace");
  command->footer(kFooter);
  command->add_option("--traces", options.traces, "Trace directory")->required();
  command->add_option("--predictor", options.predictor, predictor_list())->required();
  command->add_option("--lead", arguments->lead, "next-token, layer-H or pre-attention")
      ->required();
  command->add_option("-o,--output", options.output, "Predictor directory to make")->required();
  command->add_option("--hold-out", options.held_out,
                      "Dataset to learn nothing from, to be measured on by evaluate --hold-out");
  command->add_option("--config", options.config,
                      "JSON file with settings of the predictor and its training");
  command->add_option("--model", arguments->model,
                      "Checkpoint (directory, or OWNER/NAME that was pulled) whose routers to "
                      "start from, instead of those recorded");
  command->add_option("--tensorboard", options.tensorboard,
                      "Folder for event files of TensorBoard: loss, learning rate, validation "
                      "recall; default: none");
  command
      ->add_option("--device", options.device,
                   "cpu, cuda (the GPU with the most free memory) or cuda:N")
      ->capture_default_str();
  command->add_option("--dtype", options.dtype, "Of the matrix products")
      ->check(CLI::IsMember({"float32", "bfloat16"}))
      ->capture_default_str();
  command->add_option("--seed", options.seed, "Of initial weights and the order of training")
      ->capture_default_str();
  command->add_flag("--json", arguments->json, "Print the result as one JSON document");
  command->callback([arguments] { run_train(*arguments); });
}

}  // namespace foregate
