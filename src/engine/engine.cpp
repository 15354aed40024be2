#include "engine/engine.h"

#include <c10/core/InferenceMode.h>
#include <fmt/core.h>
#include <torch/types.h>

#include <new>
#include <numeric>

#include "base/error.h"
#include "engine/decoder.h"
#include "engine/trace_geometry.h"
#include "models/registry.h"
#include "models/weights/loader.h"
#include "models/weights/random_weights.h"
#include "tensor/device/transfer.h"

namespace foregate::engine {
namespace {

// CUDA's allocator throws a type of its own, the CPU's a plain error.
bool is_out_of_memory(const c10::Error& error) {
  return dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr ||
         error.msg().find("can't allocate memory") != std::string::npos;
}

OutOfMemoryError out_of_memory(const torch::Device& device, const std::string& what) {
  return OutOfMemoryError(
      fmt::format("{}: {} ran out of memory; use smaller batches, a smaller dtype or "
                  "--quantize, or a device with more memory",
                  what, device.str()));
}

// Runs `work`, turning libtorch's running out of memory into an error for people.
template <typename Work>
auto report_out_of_memory(const torch::Device& device, const std::string& what, const Work& work) {
  try {
    return work();
  } catch (const c10::Error& error) {
    if (!is_out_of_memory(error)) throw;
    throw out_of_memory(device, what);
  } catch (const std::bad_alloc&) {
    throw out_of_memory(device, what);
  }
}

models::DecoderWeights load(const std::filesystem::path& directory,
                            const models::ModelConfig& config, const models::LoadOptions& options) {
  const c10::InferenceMode guard;
  return report_out_of_memory(options.device, directory.string(), [&] {
    return options.random ? random_weights(config, options)
                          : models::load_weights(directory, config, options);
  });
}

}  // namespace

void PackedBatch::add(std::span<const int32_t> ids) {
  token_ids.insert(token_ids.end(), ids.begin(), ids.end());
  cu_seqlens.push_back(static_cast<int32_t>(token_ids.size()));
}

struct Engine::Impl {
  Impl(const std::filesystem::path& directory, const models::LoadOptions& load_options,
       const models::Registry& architectures)
      : options(load_options),
        config(models::read_model_config(directory / "config.json", architectures)),
        geometry(geometry_of(config)),
        decoder(config, load(directory, config, options), options.device, options.dtype) {}

  void check(const PackedBatch& batch) const;

  models::LoadOptions options;
  models::ModelConfig config;
  trace::Geometry geometry;
  Decoder decoder;
};

void Engine::Impl::check(const PackedBatch& batch) const {
  TORCH_CHECK(!batch.cu_seqlens.empty() && batch.cu_seqlens.front() == 0 &&
                  batch.cu_seqlens.back() == batch.num_tokens(),
              "cu_seqlens must run from 0 to the number of tokens, ", batch.num_tokens());
  for (int text = 0; text < batch.num_texts(); ++text) {
    const int32_t begin = batch.cu_seqlens[text];
    const int32_t end = batch.cu_seqlens[text + 1];
    TORCH_CHECK(begin < end, "text ", text, " of the batch is empty");
    if (end - begin > config.max_positions) {
      throw DataError(fmt::format(
          "text {} of the batch has {} tokens; the model's max_position_embeddings is {}, cut it",
          text, end - begin, config.max_positions));
    }
    for (int32_t i = begin; i < end; ++i) {
      if (batch.token_ids[i] < 0 || batch.token_ids[i] >= config.vocab_size) {
        throw DataError(fmt::format(
            "text {} of the batch, token {}: id {} is outside the model's vocabulary of {}; was it "
            "made with another tokenizer?",
            text, i - begin, batch.token_ids[i], config.vocab_size));
      }
    }
  }
}

Engine::Engine(const std::filesystem::path& model_directory, const EngineOptions& options,
               const models::Registry& architectures)
    : impl_(std::make_unique<Impl>(
          model_directory,
          models::LoadOptions{
              .device = options.compute.device,
              .dtype = options.compute.dtype,
              .quantization = options.compute.quantization.value_or(tensor::Quantization::kNone),
              .routing_only = options.routing_only,
              .offloaded_layers = options.offloaded_layers,
              .random = options.random_weights,
              .log = options.log},
          architectures)) {}

Engine::Engine(const std::filesystem::path& model_directory, const EngineOptions& options)
    : Engine(model_directory, options, models::known_architectures()) {}

Engine::~Engine() = default;
Engine::Engine(Engine&&) noexcept = default;

void Engine::forward(const PackedBatch& batch, EngineObserver& observer) {
  impl_->check(batch);
  if (batch.num_tokens() == 0) return;
  const c10::InferenceMode guard;
  std::vector<int64_t> positions(batch.token_ids.size());
  for (int text = 0; text < batch.num_texts(); ++text) {
    std::iota(positions.begin() + batch.cu_seqlens[text],
              positions.begin() + batch.cu_seqlens[text + 1], 0);
  }
  report_out_of_memory(
      impl_->options.device, fmt::format("a batch of {} tokens", batch.num_tokens()), [&] {
        impl_->decoder.forward(
            tensor::to_device(torch::tensor(batch.token_ids, torch::kInt64), impl_->options.device),
            tensor::to_device(torch::tensor(positions), impl_->options.device), batch.cu_seqlens,
            observer);
      });
}

const trace::Geometry& Engine::geometry() const {
  return impl_->geometry;
}
const std::string& Engine::model_type() const {
  return impl_->config.model_type;
}
torch::Device Engine::device() const {
  return impl_->options.device;
}
int64_t Engine::max_positions() const {
  return impl_->config.max_positions;
}

const nn::RouterSpec& Engine::router_spec() const {
  return impl_->config.router;
}

nn::Routers Engine::routers() const {
  std::vector<torch::Tensor> weights;
  std::vector<torch::Tensor> norms;
  std::vector<torch::Tensor> logit_biases;
  std::vector<torch::Tensor> choice_biases;
  for (const models::LayerWeights& layer : impl_->decoder.weights().layers) {
    const models::MoeWeights* moe = layer.moe();
    if (moe == nullptr) continue;
    weights.push_back(moe->router.cpu());
    norms.push_back(layer.post_attention_norm.to(torch::kCPU, torch::kFloat32));
    const nn::RouterBiases& biases = moe->router_biases;
    if (biases.logit.defined()) logit_biases.push_back(biases.logit.cpu());
    if (biases.choice.defined()) choice_biases.push_back(biases.choice.cpu());
  }
  const auto stacked = [](const std::vector<torch::Tensor>& tensors) {
    return tensors.empty() ? torch::Tensor() : torch::stack(tensors);
  };
  return {.weight = torch::stack(weights),
          .norm_weight = torch::stack(norms),
          .norm_epsilon = impl_->config.rms_norm_epsilon,
          .spec = impl_->config.router,
          .logit_bias = stacked(logit_biases),
          .choice_bias = stacked(choice_biases)};
}

}  // namespace foregate::engine
