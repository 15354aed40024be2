// A step of decoding, kernel by kernel and as one CUDA graph, without torch:
//   foregate_bench_decode [bfloat16|int8|nf4 ...] [--batch N,N,...] [--layers N] [--length N]
// The geometry is that of Qwen1.5-MoE-A2.7B, with random weights. Every operation is first compared
// with a plain kernel. Then two times are given for each: alone, one launch after the other over
// the layers' different weights, and what a whole step gains when it is left out.

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <numeric>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "device_buffer.h"
#include "kernels/paged_attention.h"
#include "kernels/rms_norm.h"
#include "kernels/rope.h"
#include "kernels/routing/routing.h"
#include "kernels/thin/thin.h"
#include "tensor/weight/quantized_rows.h"

namespace {

using namespace foregate::kernels;
using foregate::tensor::kNf4Values;
using Value = __nv_bfloat16;

constexpr int64_t kHidden = 2048;
constexpr int64_t kExperts = 60;
constexpr int64_t kTopK = 4;
constexpr int64_t kInner = 1408;
constexpr int64_t kSharedInner = 5632;
constexpr int64_t kHeads = 16;
constexpr int64_t kDim = 128;
constexpr int64_t kQkv = 3 * kHeads * kDim;
constexpr int64_t kVocab = 151936;
constexpr int64_t kPage = 64;
constexpr float kEpsilon = 1e-6F;

__device__ uint32_t mixed(uint64_t state) {
  state = (state ^ (state >> 30)) * 0xbf58476d1ce4e5b9ULL;
  state = (state ^ (state >> 27)) * 0x94d049bb133111ebULL;
  return static_cast<uint32_t>((state ^ (state >> 31)) >> 16);
}

__global__ void fill_words(uint32_t* words, int64_t count, uint64_t seed) {
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count;
       i += int64_t{gridDim.x} * blockDim.x) {
    words[i] = mixed((seed << 40) + i * 0x9e3779b97f4a7c15ULL);
  }
}

// Uniform, centre +- width.
template <typename T>
__global__ void fill_uniform(T* values, int64_t count, float centre, float width, uint64_t seed) {
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count;
       i += int64_t{gridDim.x} * blockDim.x) {
    const float unit = static_cast<float>(mixed((seed << 40) + i * 0x9e3779b97f4a7c15ULL) >> 8);
    values[i] = static_cast<T>(centre + width * (unit * 0x1p-23F - 1));
  }
}

template <typename T>
std::unique_ptr<Buffer<T>> uniform(int64_t count, float centre, float width, uint64_t seed) {
  auto buffer = std::make_unique<Buffer<T>>(count);
  fill_uniform<<<2048, 256>>>(buffer->get(), count, centre, width, seed);
  return buffer;
}

__constant__ float nf4_values[16];

/// Random codes whose values deviate by about 1 / sqrt(k).
class Matrix {
 public:
  Matrix(MatrixCodes kind, int64_t groups, int64_t n, int64_t k, uint64_t seed)
      : kind_(kind), groups_(groups), n_(n), k_(k) {
    const float deviation = 1 / std::sqrt(static_cast<float>(k));
    if (kind == MatrixCodes::kBFloat16) {
      dense_ = uniform<Value>(groups * n * k, 0, 1.7F * deviation, seed);
      return;
    }
    const bool int8 = kind == MatrixCodes::kInt8;
    const int64_t words = groups * n * k / (int8 ? 4 : 8);
    codes_ = std::make_unique<Buffer<uint32_t>>(words);
    fill_words<<<2048, 256>>>(codes_->get(), words, seed);
    const int64_t scales = groups * n * (int8 ? 1 : (k + 63) / 64);
    const float scale = deviation / (int8 ? 74.0F : 0.55F);
    scales_ = uniform<float>(scales, scale, 0.3F * scale, seed + 1);
  }
  ThinMatrix view() const {
    ThinMatrix matrix;
    matrix.codes =
        dense_ ? static_cast<const void*>(dense_->get()) : static_cast<const void*>(codes_->get());
    matrix.scales = scales_ ? scales_->get() : nullptr;
    matrix.values = kNf4Values.data();
    matrix.kind = kind_;
    matrix.n = n_;
    matrix.k = k_;
    return matrix;
  }
  /// Of one group.
  double bytes() const {
    const double codes = static_cast<double>(n_ * k_);
    if (kind_ == MatrixCodes::kBFloat16) return 2 * codes;
    return kind_ == MatrixCodes::kInt8 ? codes + 4.0 * n_ : codes * (0.5 + 4.0 / 64);
  }

 private:
  MatrixCodes kind_;
  int64_t groups_;
  int64_t n_;
  int64_t k_;
  std::unique_ptr<Buffer<Value>> dense_;
  std::unique_ptr<Buffer<uint32_t>> codes_;
  std::unique_ptr<Buffer<float>> scales_;
};

// What a code stands for, as the products see it.
__device__ float value_at(const ThinMatrix& matrix, int64_t row, int64_t column) {
  const int64_t at = row * matrix.k + column;
  switch (matrix.kind) {
    case MatrixCodes::kBFloat16:
      return __bfloat162float(static_cast<const Value*>(matrix.codes)[at]);
    case MatrixCodes::kInt8:
      return static_cast<float>(static_cast<const int8_t*>(matrix.codes)[at]) * matrix.scales[row];
    case MatrixCodes::kNf4:
      break;
  }
  const uint8_t byte = static_cast<const uint8_t*>(matrix.codes)[at / 2];
  const float scale = matrix.scales[row * ((matrix.k + 63) / 64) + column / 64];
  const float value = nf4_values[column % 2 == 0 ? byte >> 4 : byte & 15] * scale;
  return __bfloat162float(__float2bfloat16_rn(value));
}

__device__ float dot(const ThinMatrix& matrix, int64_t row, const Value* x) {
  float sum = 0;
  for (int64_t i = threadIdx.x % 32; i < matrix.k; i += 32) {
    sum += value_at(matrix, row, i) * __bfloat162float(x[i]);
  }
  for (int width = 16; width > 0; width /= 2) sum += __shfl_xor_sync(~0U, sum, width);
  return sum;
}

// out[row, n], a warp each.
__global__ void plain_linear(const Value* x, ThinMatrix matrix, const Value* bias, float* out,
                             int64_t rows) {
  const int64_t at = (int64_t{blockIdx.x} * blockDim.x + threadIdx.x) / 32;
  if (at >= rows * matrix.n) return;
  const int64_t row = at / matrix.n;
  const int64_t column = at % matrix.n;
  const float sum = dot(matrix, column, x + row * matrix.k);
  out[at] = sum + (bias == nullptr ? 0.0F : __bfloat162float(bias[column]));
}

// inner[pair]: pairs of all tokens, then one of each token with the shared expert.
__global__ void plain_up(ThinExperts problem, Value* inner, Value* shared_inner) {
  const int64_t at = (int64_t{blockIdx.x} * blockDim.x + threadIdx.x) / 32;
  const int64_t routed = problem.tokens * kTopK * kInner;
  if (at >= routed + problem.tokens * kSharedInner) return;
  const bool shared = at >= routed;
  const int64_t size = shared ? kSharedInner : kInner;
  const int64_t row = (shared ? at - routed : at) / size;
  const int64_t column = (shared ? at - routed : at) % size;
  const ThinMatrix& matrix = shared ? problem.shared_gate_up : problem.gate_up;
  const int64_t first = shared ? 0 : problem.chosen[row] * 2 * kInner;
  const auto* x = static_cast<const Value*>(problem.x) + (shared ? row : row / kTopK) * kHidden;
  const float gate = dot(matrix, first + column, x);
  const float up = dot(matrix, first + size + column, x);
  if (threadIdx.x % 32 == 0) {
    (shared ? shared_inner : inner)[row * size + column] =
        __float2bfloat16_rn(gate / (1 + expf(-gate)) * up);
  }
}

__global__ void plain_down(ThinExperts problem, const Value* inner, const Value* shared_inner,
                           float* out) {
  const int64_t at = (int64_t{blockIdx.x} * blockDim.x + threadIdx.x) / 32;
  if (at >= problem.tokens * kHidden) return;
  const int64_t token = at / kHidden;
  const int64_t column = at % kHidden;
  float sum = 0;
  for (int64_t i = token * kTopK; i < (token + 1) * kTopK; ++i) {
    sum += problem.gate_weights[i] *
           dot(problem.down, problem.chosen[i] * kHidden + column, inner + i * kInner);
  }
  float gate = 0;
  const auto* x = static_cast<const Value*>(problem.x) + token * kHidden;
  for (int64_t i = threadIdx.x % 32; i < kHidden; i += 32) {
    gate += __bfloat162float(x[i]) *
            __bfloat162float(static_cast<const Value*>(problem.shared_gate)[i]);
  }
  for (int width = 16; width > 0; width /= 2) gate += __shfl_xor_sync(~0U, gate, width);
  sum += dot(problem.shared_down, column, shared_inner + token * kSharedInner) / (1 + expf(-gate));
  out[at] = __bfloat162float(static_cast<const Value*>(problem.residual)[at]) + sum;
}

// A thread an output.
__global__ void plain_attention(PagedAttention problem, float* out) {
  const int64_t at = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (at >= problem.queries * kHeads * kDim) return;
  const int64_t query = at / (kHeads * kDim);
  const int64_t head = at / kDim % kHeads;
  const int64_t d = at % kDim;
  const auto* qkv = static_cast<const Value*>(problem.qkv) + query * kQkv;
  const int length = problem.lengths[query];
  const auto row = [&](const void* cache, int part, int token) {
    if (token == length - 1) return qkv + (part * kHeads + head) * kDim;
    const int64_t page = problem.pages[query * problem.most_pages + token / kPage];
    return static_cast<const Value*>(cache) +
           ((page * kPage + token % kPage) * kHeads + head) * kDim;
  };
  float largest = -1e30F;
  float sum = 0;
  float value = 0;
  for (int token = 0; token < length; ++token) {
    const Value* key = row(problem.keys, 1, token);
    float score = 0;
    for (int i = 0; i < kDim; ++i) {
      score += __bfloat162float(key[i]) * __bfloat162float(qkv[head * kDim + i]);
    }
    score *= problem.scale;
    const float most = fmaxf(largest, score);
    const float shrink = expf(largest - most);
    const float weight = expf(score - most);
    sum = sum * shrink + weight;
    value = value * shrink + weight * __bfloat162float(row(problem.values, 2, token)[d]);
    largest = most;
  }
  out[at] = value / sum;
}

template <typename From, typename To>
__global__ void round_to(const From* from, To* to, int64_t count) {
  const int64_t at = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (at < count) to[at] = static_cast<To>(static_cast<float>(from[at]));
}

unsigned blocks_for(int64_t threads) {
  return static_cast<unsigned>((threads + 255) / 256);
}

struct Layer {
  Layer(MatrixCodes kind, int64_t pages, uint64_t seed)
      : qkv(kind, 1, kQkv, kHidden, seed),
        output(kind, 1, kHidden, kHeads * kDim, seed + 2),
        gate_up(kind, kExperts, 2 * kInner, kHidden, seed + 4),
        down(kind, kExperts, kHidden, kInner, seed + 6),
        shared_gate_up(kind, 1, 2 * kSharedInner, kHidden, seed + 8),
        shared_down(kind, 1, kHidden, kSharedInner, seed + 10),
        bias(uniform<Value>(kQkv, 0, 0.5F, seed + 12)),
        first_norm(uniform<Value>(kHidden, 1, 0.1F, seed + 13)),
        second_norm(uniform<Value>(kHidden, 1, 0.1F, seed + 14)),
        router(uniform<float>(kExperts * kHidden, 0, 0.05F, seed + 15)),
        shared_gate(uniform<Value>(kHidden, 0, 0.03F, seed + 16)),
        keys(uniform<Value>(pages * kPage * kHeads * kDim, 0, 1, seed + 17)),
        values(uniform<Value>(pages * kPage * kHeads * kDim, 0, 1, seed + 18)) {}
  Matrix qkv, output, gate_up, down, shared_gate_up, shared_down;
  std::unique_ptr<Buffer<Value>> bias, first_norm, second_norm;
  std::unique_ptr<Buffer<float>> router;
  std::unique_ptr<Buffer<Value>> shared_gate, keys, values;
};

std::vector<int32_t> shuffled_pages(int64_t count) {
  std::vector<int32_t> pages(static_cast<size_t>(count));
  std::iota(pages.begin(), pages.end(), 0);
  std::shuffle(pages.begin(), pages.end(), std::mt19937_64(1));
  return pages;
}

/// What is launched once a layer.
struct Operation {
  std::string name;
  std::function<cudaError_t(const Layer&, cudaStream_t)> launch;
  double bytes;  ///< of weights, keys and values
};

/// A step of `batch` sequences of equal length.
class Step {
 public:
  Step(MatrixCodes kind, int64_t layers, int64_t batch, int64_t length)
      : batch_(batch),
        length_(length),
        pages_each_((length + kPage - 1) / kPage),
        lm_head_(MatrixCodes::kBFloat16, 1, kVocab, kHidden, 7),
        pages_(shuffled_pages(batch * pages_each_)),
        lengths_(std::vector<int32_t>(static_cast<size_t>(batch), static_cast<int32_t>(length))),
        positions_(std::vector<int64_t>(static_cast<size_t>(batch), length - 1)),
        cos_(uniform<Value>(length * kDim / 2, 0, 1, 1)),
        sin_(uniform<Value>(length * kDim / 2, 0, 1, 2)),
        start_(uniform<Value>(batch * kHidden, 0, 1, 3)),
        residual_(batch * kHidden),
        normed_(batch * kHidden),
        qkv_(batch * kQkv),
        mixed_(batch * kHidden),
        logits_(batch * kExperts),
        chosen_(batch * kTopK),
        gates_(batch * kTopK),
        arrived_(batch * kHeads),
        routed_(kRouteGroups),
        vocab_logits_(batch * kVocab) {
    for (int64_t i = 0; i < layers; ++i) {
      layers_.push_back(std::make_unique<Layer>(kind, batch * pages_each_, 100 * (i + 1)));
    }
    check(cudaStreamCreate(&stream_), "stream");
    PagedAttention attention = attention_of(*layers_[0]);
    attention_space_ = std::make_unique<Buffer<uint8_t>>(paged_attention_workspace(attention));
    experts_space_ =
        std::make_unique<Buffer<uint8_t>>(thin_experts_workspace(experts_of(*layers_[0])));
    check(cudaDeviceSynchronize(), "weights");
  }
  ~Step() { cudaStreamDestroy(stream_); }

  bool compare();
  void time(const char* name);

 private:
  PagedAttention attention_of(const Layer& layer) const {
    PagedAttention problem;
    problem.qkv = qkv_.get();
    problem.keys = layer.keys->get();
    problem.values = layer.values->get();
    problem.pages = pages_.get();
    problem.lengths = lengths_.get();
    problem.out = mixed_.get();
    problem.arrived = arrived_.get();
    problem.workspace = attention_space_ ? attention_space_->get() : nullptr;
    problem.queries = batch_;
    problem.most_pages = pages_each_;
    problem.page_tokens = kPage;
    problem.heads = kHeads;
    problem.kv_heads = kHeads;
    problem.head_dim = kDim;
    problem.is_settled = true;
    problem.scale = 1 / std::sqrt(static_cast<float>(kDim));
    return problem;
  }
  ThinExperts experts_of(const Layer& layer) const {
    ThinExperts problem;
    problem.x = normed_.get();
    if (batch_ == 1) {
      problem.x = residual_.get();
      problem.norm = norm_of(*layer.second_norm, /*x_is_settled=*/true);
    }
    problem.tokens = batch_;
    problem.experts = kExperts;
    problem.top_k = kTopK;
    problem.chosen = chosen_.get();
    problem.gate_weights = gates_.get();
    problem.gate_up = layer.gate_up.view();
    problem.down = layer.down.view();
    problem.shared_gate_up = layer.shared_gate_up.view();
    problem.shared_down = layer.shared_down.view();
    problem.shared_gate = layer.shared_gate->get();
    problem.residual = residual_.get();
    problem.workspace = experts_space_ ? experts_space_->get() : nullptr;
    return problem;
  }
  Route route_of(const Layer& layer) const {
    Route route;
    route.x = normed_.get();
    if (batch_ == 1) {
      route.x = residual_.get();
      route.norm_weight = layer.second_norm->get();
      route.normalized = normed_.get();
      route.epsilon = kEpsilon;
    }
    route.weight = layer.router->get();
    route.logits = logits_.get();
    route.chosen = chosen_.get();
    route.gate_weights = gates_.get();
    route.arrived = routed_.get();
    route.tokens = batch_;
    route.experts = kExperts;
    route.hidden = kHidden;
    route.top_k = kTopK;
    return route;
  }
  static ThinNorm norm_of(const Buffer<Value>& weight, bool x_is_settled) {
    ThinNorm norm;
    norm.weight = weight.get();
    norm.epsilon = kEpsilon;
    norm.x_is_settled = x_is_settled;
    return norm;
  }
  ThinLinear linear(const Buffer<Value>& x, const Matrix& matrix, ThinResult result,
                    void* out) const {
    ThinLinear linear;
    linear.x = x.get();
    linear.rows = batch_;
    linear.weight = matrix.view();
    linear.result = result;
    linear.out = out;
    return linear;
  }
  cudaError_t norm(const Buffer<Value>& weight, cudaStream_t stream) const {
    return rms_norm(residual_.get(), weight.get(), normed_.get(), batch_, kHidden, kEpsilon,
                    DType::kBFloat16, stream);
  }
  cudaError_t run_lm_head(cudaStream_t stream) const {
    const cudaError_t error = norm(*layers_[0]->first_norm, stream);
    if (error != cudaSuccess) return error;
    return thin_linear(linear(normed_, lm_head_, ThinResult::kFloat, vocab_logits_.get()), stream);
  }
  std::vector<Operation> operations() const;
  double expert_bytes() const;
  double microseconds(const std::vector<Operation>& operations, bool with_head) const;
  bool close(const char* what, const std::vector<float>& got, const Buffer<float>& wanted,
             double tolerance) const;
  bool routes_exactly(const Layer& layer, const std::vector<float>& normed) const;
  void run_to(const std::string& name);

  int64_t batch_;
  int64_t length_;
  int64_t pages_each_;
  std::vector<std::unique_ptr<Layer>> layers_;
  Matrix lm_head_;
  Buffer<int32_t> pages_;
  Buffer<int32_t> lengths_;
  Buffer<int64_t> positions_;
  std::unique_ptr<Buffer<Value>> cos_, sin_, start_;
  Buffer<Value> residual_, normed_, qkv_, mixed_;
  Buffer<float> logits_;
  Buffer<int64_t> chosen_;
  Buffer<float> gates_;
  Buffer<int32_t> arrived_, routed_;
  Buffer<float> vocab_logits_;
  std::unique_ptr<Buffer<uint8_t>> attention_space_, experts_space_;
  cudaStream_t stream_ = nullptr;
};

double Step::expert_bytes() const {
  std::set<int64_t> used;
  for (const int64_t expert : chosen_.host()) used.insert(expert);
  const Layer& layer = *layers_[0];
  return static_cast<double>(used.size()) * (layer.gate_up.bytes() + layer.down.bytes()) +
         layer.shared_gate_up.bytes() + layer.shared_down.bytes();
}

std::vector<Operation> Step::operations() const {
  const Layer& first = *layers_[0];
  const double cached = 2.0 * static_cast<double>(batch_ * length_ * kHeads * kDim) * sizeof(Value);
  std::vector<Operation> all = {
      {"qkv",
       [this](const Layer& layer, cudaStream_t stream) {
         ThinLinear product = linear(normed_, layer.qkv, ThinResult::kStore, qkv_.get());
         if (batch_ == 1) {
           product.x = residual_.get();
           product.norm = norm_of(*layer.first_norm, /*x_is_settled=*/false);
         }
         product.bias = layer.bias->get();
         product.rotation.positions = positions_.get();
         product.rotation.cos = cos_->get();
         product.rotation.sin = sin_->get();
         product.rotation.heads = 2 * kHeads;
         product.rotation.head_dim = kDim;
         return thin_linear(product, stream);
       },
       first.qkv.bytes()},
      {"attention",
       [this](const Layer& layer, cudaStream_t stream) {
         return paged_attention(attention_of(layer), DType::kBFloat16, stream);
       },
       cached},
      {"output",
       [this](const Layer& layer, cudaStream_t stream) {
         return thin_linear(linear(mixed_, layer.output, ThinResult::kAdd, residual_.get()),
                            stream);
       },
       first.output.bytes()},
      {"router",
       [this](const Layer& layer, cudaStream_t stream) {
         return route_few(route_of(layer), DType::kBFloat16, stream);
       },
       4.0 * kExperts * kHidden},
      {"experts",
       [this](const Layer& layer, cudaStream_t stream) {
         return thin_experts(experts_of(layer), stream);
       },
       expert_bytes()}};
  if (batch_ == 1) return all;  // the norms are in the products
  const auto norm_before = [&](const char* name,
                               const std::unique_ptr<Buffer<Value>> Layer::*weight) {
    return Operation{name,
                     [this, weight](const Layer& layer, cudaStream_t stream) {
                       return norm(*(layer.*weight), stream);
                     },
                     0};
  };
  all.insert(all.begin() + 3, norm_before("norm 2", &Layer::second_norm));
  all.insert(all.begin(), norm_before("norm 1", &Layer::first_norm));
  return all;
}

double Step::microseconds(const std::vector<Operation>& operations, bool with_head) const {
  constexpr int kRounds = 12;
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t recorded = nullptr;
  check(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), "capture");
  check(cudaMemcpyAsync(residual_.get(), start_->get(), batch_ * kHidden * sizeof(Value),
                        cudaMemcpyDeviceToDevice, stream_),
        "copy");
  for (const auto& layer : layers_) {
    for (const Operation& operation : operations) {
      check(operation.launch(*layer, stream_), operation.name.c_str());
    }
  }
  if (with_head) check(run_lm_head(stream_), "lm_head");
  check(cudaStreamEndCapture(stream_, &graph), "end of capture");
  check(cudaGraphInstantiate(&recorded, graph, 0), "instantiate");
  std::vector<cudaEvent_t> events(kRounds + 1);
  for (cudaEvent_t& event : events) check(cudaEventCreate(&event), "event");
  for (int i = 0; i < 3; ++i) check(cudaGraphLaunch(recorded, stream_), "launch");
  for (int i = 0; i <= kRounds; ++i) {
    check(cudaEventRecord(events[i], stream_), "record");
    if (i < kRounds) check(cudaGraphLaunch(recorded, stream_), "launch");
  }
  check(cudaStreamSynchronize(stream_), "run");
  std::vector<float> times(kRounds);
  for (int i = 0; i < kRounds; ++i) cudaEventElapsedTime(&times[i], events[i], events[i + 1]);
  for (cudaEvent_t& event : events) cudaEventDestroy(event);
  cudaGraphExecDestroy(recorded);
  cudaGraphDestroy(graph);
  std::nth_element(times.begin(), times.begin() + kRounds / 2, times.end());
  return 1000.0 * times[kRounds / 2];
}

void Step::time(const char* name) {
  const std::vector<Operation> all = operations();
  const double whole = microseconds(all, true);
  const double body = microseconds(all, false);
  const auto layers = static_cast<double>(layers_.size());
  std::printf(
      "%s, batch %d: a step %.0f us, %.0f tokens/s; a layer %.2f us, lm_head %.1f us "
      "(%.2f TB/s)\n",
      name, static_cast<int>(batch_), whole, 1e6 * static_cast<double>(batch_) / whole,
      body / layers, whole - body, lm_head_.bytes() / (whole - body) * 1e-6);
  for (size_t i = 0; i < all.size(); ++i) {
    std::vector<Operation> others = all;
    others.erase(others.begin() + static_cast<int64_t>(i));
    const double alone = microseconds({all[i]}, false) / layers;
    const double gain = (body - microseconds(others, false)) / layers;
    std::printf("  %-12s alone %7.2f us", all[i].name.c_str(), alone);
    if (all[i].bytes > 0)
      std::printf(" (%5.2f TB/s)", all[i].bytes / alone * 1e-6);
    else
      std::printf("             ");
    std::printf(", left out %7.2f us less", gain);
    if (all[i].bytes > 0)
      std::printf("; %6.1f MB, %.2f us at 4 TB/s", all[i].bytes * 1e-6, all[i].bytes / 4e6);
    std::printf("\n");
  }
  std::fflush(stdout);
}

bool Step::close(const char* what, const std::vector<float>& got, const Buffer<float>& wanted,
                 double tolerance) const {
  const std::vector<float> there = wanted.host();
  double worst = 0;
  for (size_t i = 0; i < there.size(); ++i) {
    const double error = std::abs(got[i] - there[i]) / (1 + std::abs(there[i]));
    if (!(error <= worst)) worst = std::isnan(error) ? HUGE_VAL : error;
  }
  const bool ok = worst < tolerance;
  std::printf("  %-10s largest error %.5f %s\n", what, worst, ok ? "ok" : "WRONG");
  return ok;
}

std::vector<float> floats(const Buffer<Value>& buffer) {
  std::vector<float> result;
  for (const Value value : buffer.host()) result.push_back(__bfloat162float(value));
  return result;
}

// All operations of a layer up to this one.
void Step::run_to(const std::string& name) {
  check(cudaMemcpy(residual_.get(), start_->get(), batch_ * kHidden * sizeof(Value),
                   cudaMemcpyDeviceToDevice),
        "copy");
  for (const Operation& operation : operations()) {
    if (operation.name == name) break;
    check(operation.launch(*layers_[0], stream_), operation.name.c_str());
  }
  check(cudaDeviceSynchronize(), "run");
}

// The order of additions of nn/router.h: the same bits.
bool Step::routes_exactly(const Layer& layer, const std::vector<float>& normed) const {
  const std::vector<float> weights = layer.router->host();
  const std::vector<float> logits = logits_.host();
  const std::vector<int64_t> chosen = chosen_.host();
  bool ok = floats(normed_) == normed;
  for (int64_t token = 0; token < batch_; ++token) {
    std::vector<std::pair<float, int64_t>> ranked;
    for (int64_t expert = 0; expert < kExperts; ++expert) {
      float sums[16] = {};
      for (int64_t h = 0; h < kHidden; ++h) {
        sums[h % 16] = std::fma(normed[static_cast<size_t>(token * kHidden + h)],
                                weights[static_cast<size_t>(expert * kHidden + h)], sums[h % 16]);
      }
      for (int width = 8; width > 0; width /= 2) {
        for (int i = 0; i < width; ++i) sums[i] += sums[i + width];
      }
      ok = ok && logits[static_cast<size_t>(token * kExperts + expert)] == sums[0];
      ranked.emplace_back(-sums[0], expert);
    }
    std::sort(ranked.begin(), ranked.end());
    for (int64_t i = 0; i < kTopK; ++i) {
      ok = ok &&
           chosen[static_cast<size_t>(token * kTopK + i)] == ranked[static_cast<size_t>(i)].second;
    }
  }
  std::printf("  %-10s %s\n", "router", ok ? "equal" : "WRONG");
  return ok;
}

bool Step::compare() {
  const Layer& layer = *layers_[0];
  bool ok = true;
  const auto launch = [&](const std::string& name) {
    for (const Operation& operation : operations()) {
      if (operation.name == name) check(operation.launch(layer, stream_), name.c_str());
    }
    check(cudaDeviceSynchronize(), name.c_str());
  };
  run_to("qkv");
  check(norm(*layer.first_norm, stream_), "norm");
  Buffer<float> qkv(batch_ * kQkv);
  plain_linear<<<blocks_for(32 * qkv.count()), 256, 0, stream_>>>(
      normed_.get(), layer.qkv.view(), layer.bias->get(), qkv.get(), batch_);
  Buffer<Value> rounded(qkv.count());
  round_to<<<blocks_for(qkv.count()), 256, 0, stream_>>>(qkv.get(), rounded.get(), qkv.count());
  check(rope(rounded.get(), positions_.get(), cos_->get(), sin_->get(), batch_, kQkv, 2 * kHeads,
             kDim / 2, DType::kBFloat16, stream_),
        "rope");
  round_to<<<blocks_for(qkv.count()), 256, 0, stream_>>>(rounded.get(), qkv.get(), qkv.count());
  launch("qkv");
  ok = close("qkv", floats(qkv_), qkv, 0.015) && ok;

  run_to("attention");
  Buffer<float> mixed(batch_ * kHidden);
  plain_attention<<<blocks_for(mixed.count()), 256>>>(attention_of(layer), mixed.get());
  check(cudaDeviceSynchronize(), "plain attention");
  launch("attention");
  ok = close("attention", floats(mixed_), mixed, 0.01) && ok;

  Buffer<float> output(batch_ * kHidden);
  plain_linear<<<blocks_for(32 * output.count()), 256>>>(mixed_.get(), layer.output.view(), nullptr,
                                                         output.get(), batch_);
  check(cudaDeviceSynchronize(), "plain output");
  const std::vector<float> before = floats(residual_);
  launch("output");
  std::vector<float> added = floats(residual_);
  for (size_t i = 0; i < added.size(); ++i) added[i] -= before[i];
  ok = close("output", added, output, 0.02) && ok;

  run_to("router");
  check(norm(*layer.second_norm, stream_), "norm");
  check(cudaDeviceSynchronize(), "norm");
  const std::vector<float> normed = floats(normed_);
  launch("router");
  ok = routes_exactly(layer, normed) && ok;

  run_to("experts");
  check(norm(*layer.second_norm, stream_), "norm");
  Buffer<Value> inner(batch_ * kTopK * kInner);
  Buffer<Value> shared_inner(batch_ * kSharedInner);
  Buffer<float> sums(batch_ * kHidden);
  ThinExperts experts = experts_of(layer);
  experts.x = normed_.get();
  plain_up<<<blocks_for(32 * (inner.count() + shared_inner.count())), 256>>>(experts, inner.get(),
                                                                             shared_inner.get());
  plain_down<<<blocks_for(32 * sums.count()), 256>>>(experts, inner.get(), shared_inner.get(),
                                                     sums.get());
  check(cudaDeviceSynchronize(), "plain experts");
  launch("experts");
  ok = close("experts", floats(residual_), sums, 0.01) && ok;

  check(run_lm_head(stream_), "lm_head");
  Buffer<float> head(batch_ * kVocab);
  plain_linear<<<blocks_for(32 * head.count()), 256>>>(normed_.get(), lm_head_.view(), nullptr,
                                                       head.get(), batch_);
  check(cudaDeviceSynchronize(), "plain lm_head");
  return close("lm_head", vocab_logits_.host(), head, 0.001) && ok;
}

struct Options {
  std::vector<std::string> kinds;
  std::vector<int64_t> batches = {1, 8, 32};
  int64_t layers = 24;
  int64_t length = 576;
};

Options options_of(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const bool more = i + 1 < argc;
    if (word == "--batch" && more) {
      options.batches.clear();
      for (const char* at = argv[++i]; at != nullptr; at = std::strchr(at, ',')) {
        if (*at == ',') ++at;
        options.batches.push_back(std::atoll(at));
      }
    } else if (word == "--layers" && more) {
      options.layers = std::atoll(argv[++i]);
    } else if (word == "--length" && more) {
      options.length = std::atoll(argv[++i]);
    } else {
      options.kinds.push_back(word);
    }
  }
  if (options.kinds.empty()) options.kinds = {"int8", "bfloat16", "nf4"};
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = options_of(argc, argv);
  check(cudaMemcpyToSymbol(nf4_values, kNf4Values.data(), sizeof(nf4_values)), "values of NF4");
  bool ok = true;
  for (const std::string& name : options.kinds) {
    const MatrixCodes kind = name == "int8"  ? MatrixCodes::kInt8
                             : name == "nf4" ? MatrixCodes::kNf4
                                             : MatrixCodes::kBFloat16;
    for (const int64_t batch : options.batches) {
      Step step(kind, options.layers, batch, options.length);
      ok = step.compare() && ok;
      step.time(name.c_str());
    }
  }
  return ok ? 0 : 1;
}
