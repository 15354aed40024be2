#include "engine/engine.h"

#include <c10/core/InferenceMode.h>
#include <fmt/core.h>
#include <torch/types.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "base/error.h"
#include "engine/decode_graphs.h"
#include "engine/decoder.h"
#include "engine/out_of_memory.h"
#include "engine/trace_geometry.h"
#include "models/registry.h"
#include "models/weights/loader.h"
#include "models/weights/random_weights.h"
#include "tensor/device/transfer.h"

namespace foregate::engine {
namespace {

// More sequences keep a GPU busy anyway.
constexpr int kMostRecorded = 32;

models::DecoderWeights load(const std::filesystem::path& directory,
                            const models::ModelConfig& config, const models::LoadOptions& options) {
  const c10::InferenceMode guard;
  return report_out_of_memory(options.device, directory.string(), [&] {
    return options.random ? random_weights(config, options)
                          : models::load_weights(directory, config, options);
  });
}

void require_code_for(const models::ModelConfig& config, torch::Device device) {
  const auto* attention = std::get_if<models::GroupedQueryConfig>(&config.attention);
  if (device.is_cpu() || attention == nullptr || !attention->sinks) return;
  throw DeviceError(fmt::format(
      "{} runs on the CPU only so far: there is no CUDA code for attention sinks; use --device cpu",
      config.model_type));
}

models::ModelConfig read_config(const std::filesystem::path& directory, torch::Device device,
                                const models::Registry& architectures) {
  const models::ModelConfig config = models::read_model_config(directory, architectures);
  require_code_for(config, device);
  return config;
}

}  // namespace

void StepBatch::add(std::span<const int32_t> ids) {
  token_ids.insert(token_ids.end(), ids.begin(), ids.end());
  cu_seqlens.push_back(static_cast<int32_t>(token_ids.size()));
}

void StepBatch::add(KvCache::Sequence sequence, std::span<const int32_t> ids) {
  sequences.push_back(sequence);
  add(ids);
}

namespace {

Decoder make_decoder(const std::filesystem::path& directory, const models::ModelConfig& config,
                     const models::LoadOptions& options,
                     const std::optional<ExpertCacheOptions>& expert_cache) {
  TORCH_CHECK(!expert_cache || !options.routing_only,
              "an expert cache of a model that only routes");
  return report_out_of_memory(options.device, directory.string(), [&] {
    return Decoder(config, load(directory, config, options), options.device, options.dtype,
                   expert_cache);
  });
}

}  // namespace

struct Engine::Impl {
  Impl(const std::filesystem::path& directory, const models::LoadOptions& load_options,
       torch::ScalarType dtype_of_cache, const std::optional<ExpertCacheOptions>& expert_cache,
       const models::Registry& architectures)
      : options(load_options),
        cache_dtype(dtype_of_cache),
        config(read_config(directory, options.device, architectures)),
        geometry(geometry_of(config)),
        decoder(make_decoder(directory, config, options, expert_cache)),
        records_steps(options.device.is_cuda() && decoder.can_record_steps()) {}

  /// `past`: tokens that came before each text's.
  void check(const StepBatch& batch, const std::vector<int64_t>& past) const;
  StepResult run(const StepBatch& batch, const std::vector<int64_t>& past, EngineObserver& observer,
                 KvCache* cache);

  StepResult run_layers(const StepBatch& batch, const std::vector<int64_t>& past,
                        EngineObserver& observer, KvCache* cache);

  /// Nothing: the step is not one that can be recorded.
  std::optional<StepResult> run_recorded(const StepBatch& batch, EngineObserver& observer,
                                         KvCache* cache);

  models::LoadOptions options;
  torch::ScalarType cache_dtype;
  models::ModelConfig config;
  trace::Geometry geometry;
  Decoder decoder;
  bool records_steps = false;
  std::unique_ptr<DecodeGraphs> graphs;
};

std::optional<StepResult> Engine::Impl::run_recorded(const StepBatch& batch,
                                                     EngineObserver& observer, KvCache* cache) {
  const bool one_each = batch.num_tokens() == batch.num_texts();
  if (!records_steps || cache == nullptr || cache->is_quantized() || !one_each ||
      !decoder.experts().runs_on_device(batch.num_texts()) || batch.num_texts() > kMostRecorded ||
      dynamic_cast<NoObserver*>(&observer) == nullptr) {
    return std::nullopt;
  }
  if (!graphs || !graphs->belong_to(*cache)) {
    const auto& attention = std::get<models::GroupedQueryConfig>(config.attention);
    graphs = std::make_unique<DecodeGraphs>(*cache, config.max_positions, attention.num_heads,
                                            options.device);
  }
  return report_out_of_memory(
      options.device, fmt::format("a step of {} tokens", batch.num_tokens()), [&]() -> StepResult {
        return {graphs->run(batch.token_ids, batch.sequences, *cache, [&](const DecoderStep& step) {
          return decoder.forward(step, observer);
        })};
      });
}

void Engine::Impl::check(const StepBatch& batch, const std::vector<int64_t>& past) const {
  TORCH_CHECK(!batch.cu_seqlens.empty() && batch.cu_seqlens.front() == 0 &&
                  batch.cu_seqlens.back() == batch.num_tokens(),
              "cu_seqlens must run from 0 to the number of tokens, ", batch.num_tokens());
  for (int text = 0; text < batch.num_texts(); ++text) {
    const int32_t begin = batch.cu_seqlens[text];
    const int32_t end = batch.cu_seqlens[text + 1];
    TORCH_CHECK(begin < end, "text ", text, " of the batch is empty");
    if (past[text] + end - begin > config.max_positions) {
      throw DataError(
          fmt::format("text {} of the batch has {} tokens; the model's {} is {}, cut it", text,
                      past[text] + end - begin, config.max_positions_key, config.max_positions));
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

StepResult Engine::Impl::run(const StepBatch& batch, const std::vector<int64_t>& past,
                             EngineObserver& observer, KvCache* cache) {
  decoder.experts().begin_step(batch, past);
  StepResult result = run_layers(batch, past, observer, cache);
  decoder.experts().end_step();
  return result;
}

StepResult Engine::Impl::run_layers(const StepBatch& batch, const std::vector<int64_t>& past,
                                    EngineObserver& observer, KvCache* cache) {
  if (std::optional<StepResult> result = run_recorded(batch, observer, cache)) return *result;
  std::vector<int64_t> positions(batch.token_ids.size());
  std::vector<int64_t> tokens;
  const nn::PackedTexts texts(batch.cu_seqlens, options.device);
  DecoderStep step{.texts = texts, .cache = cache};
  for (int text = 0; text < batch.num_texts(); ++text) {
    const int32_t begin = batch.cu_seqlens[text];
    const int32_t end = batch.cu_seqlens[text + 1];
    tokens.push_back(end - begin);
    std::iota(positions.begin() + begin, positions.begin() + end, past[text]);
    step.max_position = std::max(step.max_position, past[text] + end - begin - 1);
  }
  return report_out_of_memory(
      options.device, fmt::format("a batch of {} tokens", batch.num_tokens()), [&]() -> StepResult {
        step.token_ids =
            tensor::to_device(torch::tensor(batch.token_ids, torch::kInt64), options.device);
        step.positions = tensor::to_device(torch::tensor(positions), options.device);
        if (cache != nullptr) step.pages = cache->pages_of(batch.sequences, tokens);
        return {decoder.forward(step, observer)};
      });
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
              .experts_in_pieces = options.expert_cache.has_value(),
              .random = options.random_weights,
              .log = options.log},
          options.compute.cache_dtype(), options.expert_cache, architectures)) {}

Engine::Engine(const std::filesystem::path& model_directory, const EngineOptions& options)
    : Engine(model_directory, options, models::known_architectures()) {}

Engine::~Engine() = default;
Engine::Engine(Engine&&) noexcept = default;

StepResult Engine::step(const StepBatch& batch, EngineObserver& observer, KvCache* cache) {
  std::vector<int64_t> past(batch.num_texts(), 0);
  if (cache != nullptr) {
    TORCH_CHECK(static_cast<int>(batch.sequences.size()) == batch.num_texts() &&
                    std::set(batch.sequences.begin(), batch.sequences.end()).size() == past.size(),
                "every text of a step with a cache is of one sequence, and of one of its own");
    for (size_t i = 0; i < past.size(); ++i) past[i] = cache->length(batch.sequences[i]);
  }
  impl_->check(batch, past);
  if (batch.num_tokens() == 0) return {};
  const c10::InferenceMode guard;
  if (cache == nullptr) return impl_->run(batch, past, observer, nullptr);
  try {
    for (size_t i = 0; i < past.size(); ++i) {
      cache->extend(batch.sequences[i], batch.cu_seqlens[i + 1] - batch.cu_seqlens[i]);
    }
    return impl_->run(batch, past, observer, cache);
  } catch (...) {
    for (size_t i = 0; i < past.size(); ++i) cache->truncate(batch.sequences[i], past[i]);
    throw;
  }
}

KvCache Engine::new_cache(int64_t budget, int64_t page_tokens) const {
  return {kv_layout(impl_->config), budget, impl_->options.device, impl_->cache_dtype, page_tokens};
}

int64_t Engine::cache_bytes_per_token() const {
  return bytes_per_token(kv_layout(impl_->config), impl_->cache_dtype);
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
int64_t Engine::vocab_size() const {
  return impl_->config.vocab_size;
}

std::optional<ExpertCounts> Engine::expert_counts() const {
  return impl_->decoder.experts().counts();
}

const nn::RouterSpec& Engine::router_spec() const {
  return impl_->config.router;
}

nn::Routers Engine::routers() const {
  if (impl_->config.norm != models::NormKind::kRms) {
    throw DataError(
        fmt::format("the routers of {} stand behind LayerNorms, and predictors from hidden states "
                    "know RMSNorms "
                    "only; collect without features, and train predictors of the routing history",
                    impl_->config.model_type));
  }
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
