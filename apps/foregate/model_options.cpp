#include "model_options.h"

#include <CLI/CLI.hpp>

#include "hub/resolve.h"
#include "tensor/device/device.h"
#include "tensor/dtype.h"

namespace foregate {
namespace {

constexpr const char* kInt8Cache = "int8";

}  // namespace

CLI::Option* add_device_option(CLI::App& command, std::string& device, const std::string& of_what) {
  return command
      .add_option("--device", device,
                  of_what + "cpu, cuda (the GPU with the most free memory) or cuda:N")
      ->capture_default_str();
}

CLI::Option* add_dtype_option(CLI::App& command, std::string& dtype, const std::string& name,
                              const std::string& of_what) {
  const char* rule = dtype.empty() ? " (default: float32 on the CPU, bfloat16 on a GPU)" : "";
  CLI::Option* option =
      command.add_option(name, dtype, of_what + "float32, bfloat16 or float16" + rule)
          ->check(CLI::IsMember({"float32", "bfloat16", "float16"}));
  return dtype.empty() ? option : option->capture_default_str();
}

CLI::Option* add_quantize_option(CLI::App& command, std::string& quantization,
                                 const std::string& description) {
  CLI::Option* option = command.add_option("--quantize", quantization, description)
                            ->check(CLI::IsMember({"none", "int8", "nf4"}));
  return quantization.empty() ? option : option->capture_default_str();
}

void add_kv_dtype_option(CLI::App& command, std::string& dtype) {
  command
      .add_option("--kv-dtype", dtype,
                  "Keep keys and values in int8, a scale a row; auto: in --dtype")
      ->check(CLI::IsMember({"auto", kInt8Cache}))
      ->capture_default_str();
}

CLI::Option* add_data_option(CLI::App& command, std::vector<std::string>& data,
                             const std::string& more) {
  return command.add_option("--data", data, "NAME=PATH[:COLUMN], once for each dataset" + more)
      ->allow_extra_args(false);
}

tensor::Compute parse_compute(const ComputeArguments& arguments, Logger& log) {
  return parse_compute(arguments, tensor::choose_device(arguments.device, log));
}

tensor::Compute parse_compute(const ComputeArguments& arguments, torch::Device device) {
  tensor::Compute compute{.device = device};
  if (!arguments.dtype.empty()) {
    compute.dtype = tensor::parse_dtype(arguments.dtype);
  } else {
    compute.dtype = compute.device.is_cpu() ? torch::kFloat32 : torch::kBFloat16;
  }
  if (!arguments.quantization.empty()) {
    compute.quantization = tensor::parse_quantization(arguments.quantization);
  }
  if (arguments.kv_dtype == kInt8Cache) compute.kv_dtype = torch::kInt8;
  return compute;
}

std::vector<text::DatasetSpec> find_datasets(const std::vector<std::string>& data) {
  const hub::Environment environment = hub::read_environment();
  std::vector<text::DatasetSpec> specs;
  for (const std::string& each : data) {
    text::DatasetSpec spec = text::DatasetSpec::parse(each);
    spec.path = hub::find_dataset(spec.path.string(), environment);
    specs.push_back(std::move(spec));
  }
  return specs;
}

void set_texts_and_model(const std::vector<std::string>& data, const std::string& model,
                         collect::CollectOptions& options) {
  options.data = find_datasets(data);
  options.model =
      hub::find_model(model, {.files = {"config.json", "tokenizer.json"}, .weights = true},
                      hub::read_environment());
  options.model_name = hub::model_name(options.model);
}

}  // namespace foregate
