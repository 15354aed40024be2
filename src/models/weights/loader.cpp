#include "models/weights/loader.h"

#include <torch/types.h>

#include "models/model_files.h"
#include "models/weights/assemble.h"
#include "models/weights/stored_weight.h"
#include "models/weights/weight_plan.h"
#include "tensor/device/upload.h"
#include "tensor/files/checkpoint.h"

namespace foregate::models {
namespace {

/// Reads weights into room made for them on the device: destinations are made once and filled piece
/// by piece.
class WeightReader {
 public:
  WeightReader(const tensor::Checkpoint& checkpoint, const CheckpointFormat& storage,
               const LoadOptions& options)
      : checkpoint_(checkpoint), storage_(storage), options_(options) {}

  std::vector<tensor::Weight> read(std::span<const WeightSpec> specs) {
    std::vector<tensor::Weight> weights;
    for (const WeightSpec& spec : specs) weights.push_back(room_for(spec));
    for (const PartTensor& tensor : tensors_of(specs)) {
      fill(tensor.rows_of(weights[static_cast<size_t>(tensor.weight - specs.data())]), tensor);
    }
    return weights;
  }

 private:
  tensor::Weight room_for(const WeightSpec& spec) const {
    const tensor::Quantization quantization =
        spec.keep == Keep::kQuantizable ? options_.quantization : tensor::Quantization::kNone;
    const bool stays = options_.experts_in_pieces && spec.role == Role::kRoutedExperts &&
                       spec.keep == Keep::kQuantizable;
    return tensor::Weight::empty(spec.shape, quantization,
                                 stays ? torch::Device(torch::kCPU) : options_.device,
                                 spec.keep == Keep::kFloat32 ? torch::kFloat32 : options_.dtype);
  }

  void fill(tensor::Weight destination, const PartTensor& tensor) {
    const std::string name = tensor.name();
    const CheckpointFormat& storage =
        storage_of(checkpoint_, storage_, name, tensor.shape(),
                   /*quantizable=*/tensor.weight->keep == Keep::kQuantizable);
    const std::string what = checkpoint_.directory().string() + ": " + name;
    read_stored(
        checkpoint_, storage, name, tensor.shape(),
        [&](int64_t first, const tensor::Weight& stored) {
          const tensor::Weight rows = rearranged(stored, tensor.part->arrangement);
          destination.narrow(first, rows.size(0)).assign(on_device(rows, destination, what), what);
        });
  }

  // On a GPU dense weights are converted where they go; codes are made and read on the way.
  tensor::Weight on_device(const tensor::Weight& rows, const tensor::Weight& destination,
                           const std::string& what) {
    if (destination.device().is_cpu()) return rows;
    const tensor::Quantization kept = destination.quantization();
    if (rows.quantization() != kept) {
      tensor::Weight coded = tensor::Weight::empty(rows.sizes(), kept, torch::kCPU, options_.dtype);
      coded.assign(rows, what);
      return uploaded(coded);
    }
    return uploaded(rows);
  }

  tensor::Weight uploaded(const tensor::Weight& rows) {
    if (!rows.is_quantized()) return uploader_.upload(rows.dense());
    return {rows.quantization(), uploader_.upload(rows.codes()), uploader_.upload(rows.scales()),
            rows.size(-1)};
  }

  const tensor::Checkpoint& checkpoint_;
  const CheckpointFormat& storage_;
  const LoadOptions& options_;
  tensor::Uploader uploader_{options_.device};
};

}  // namespace

DecoderWeights load_weights(const std::filesystem::path& directory, const ModelConfig& config,
                            const LoadOptions& options) {
  const tensor::Checkpoint checkpoint = open_checkpoint(directory, config);
  const WeightNames names = choose_names(config, checkpoint);
  const std::vector<ExpectedTensor> plan =
      plan_weights(config, names, checkpoint, options.routing_only);
  const std::vector<std::string> unneeded = verify_weights(checkpoint, plan, config, names);
  if (tensor::holds_two_checkpoints(directory)) {
    options.log->warning(
        "{} holds model.safetensors and an index of other files; the former is read, as "
        "transformers "
        "does",
        directory.string());
  }
  if (const std::string pickled = tensor::newer_pickled_weights(directory); !pickled.empty()) {
    options.log->warning(
        "{0}: the *.safetensors files are read, and {1} beside them is newer; if the weights meant "
        "are those of {1}, save them as safetensors",
        directory.string(), pickled);
  }
  if (!unneeded.empty()) {
    options.log->warning("{}: {}", directory.string(), passed_over(unneeded));
  }
  const CheckpointFormat storage = settled_storage(checkpoint, plan, config.storage, *options.log);
  WeightReader reader(checkpoint, storage, options);
  return assemble_weights(
      config, options, describe_outer_weights(config, names),
      [&](int64_t layer) {
        return describe_layer(config, names, layer,
                              expert_layout(config.storage, names, layer, checkpoint));
      },
      [&](std::span<const WeightSpec> specs) { return reader.read(specs); });
}

}  // namespace foregate::models
