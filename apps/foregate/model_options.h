#pragma once

#include <string>
#include <vector>

#include "base/run_context.h"
#include "collect/options.h"
#include "tensor/compute.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace foregate {

/// What a model runs on, and in what, as the command line says it.
struct ComputeArguments {
  std::string device = "cpu";
  std::string dtype;         ///< empty: float32 on the CPU, bfloat16 on a GPU
  std::string quantization;  ///< empty: chosen
  std::string kv_dtype = "auto";
};

// The options of every command that runs a model, and of those that run a predictor.

/// --device. `of_what` stands in front of the description.
CLI::Option* add_device_option(CLI::App& command, std::string& device,
                               const std::string& of_what = "");
/// --dtype, or another name. A dtype that is set is the default.
CLI::Option* add_dtype_option(CLI::App& command, std::string& dtype,
                              const std::string& name = "--dtype", const std::string& of_what = "");
/// --quantize. A quantisation that is set is the default.
CLI::Option* add_quantize_option(CLI::App& command, std::string& quantization,
                                 const std::string& description);
/// --kv-dtype.
void add_kv_dtype_option(CLI::App& command, std::string& dtype);
/// --data, once for each dataset: NAME=PATH[:COLUMN] and what `more` adds to that.
CLI::Option* add_data_option(CLI::App& command, std::vector<std::string>& data,
                             const std::string& more = "");

/// Throws UsageError or DeviceError.
tensor::Compute parse_compute(const ComputeArguments& arguments, Logger& log);
/// The same on a device that is chosen already.
tensor::Compute parse_compute(const ComputeArguments& arguments, torch::Device device);

/// The datasets of --data; a PATH may be OWNER/NAME[/FILE] of one that was pulled. Throws
/// UsageError or EnvironmentError.
std::vector<text::DatasetSpec> find_datasets(const std::vector<std::string>& data);

/// Sets texts and model of a run; both may be named as they are on the hub. Throws as
/// find_datasets().
void set_texts_and_model(const std::vector<std::string>& data, const std::string& model,
                         collect::CollectOptions& options);

}  // namespace foregate
