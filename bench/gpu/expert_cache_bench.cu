// Times the kernels of an expert cache that the device keeps by itself (kernels/cache), without
// torch:
//   foregate_bench_expert_cache [steps] [mover] [foresee] [gather] [lookup]
// Lookups by what they find, the gather of missing experts from pinned memory, the mover beside a
// kernel that wants all of the memory's bandwidth, and whole recorded steps of a model that chooses
// as a random trace says, on demand and with every choice foreseen.

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <vector>

#include "device_buffer.h"
#include "kernels/cache/cache.h"
#include "kernels/dependent_launch.cuh"
#include "kernels/routing/routing.h"

namespace {

using namespace foregate::kernels;  // NOLINT(google-build-using-namespace): a program of its own

/// A cache over one buffer of pinned memory that all experts share.
class Cache {
 public:
  Cache(const CacheShape& shape, int64_t expert_bytes, const void* pinned, int64_t pinned_bytes)
      : image_(static_cast<size_t>(cache_table_bytes(shape)) / 64 + 2) {
    host_ = lay_out_cache(shape, aligned(image_.data()));
    check(cudaMalloc(&memory_, image_.size() * 64), "tables");
    tables_ = lay_out_cache(shape, memory_);
    clear_cache(host_);
    upload();
    // Two thirds and a third, as gate and up beside down.
    parts_.count = 2;
    parts_.bytes[0] = expert_bytes * 2 / 3 / 256 * 256;
    parts_.bytes[1] = expert_bytes - parts_.bytes[0];
    parts_.host_strides[0] = parts_.bytes[0];
    parts_.host_strides[1] = parts_.bytes[1];
    const int64_t most = std::max<int64_t>(1, pinned_bytes / expert_bytes / 2);
    std::vector<const void*> hosts;
    for (int layer = 0; layer < shape.layers; ++layer) {
      // Layers begin here and there in the buffer.
      const int64_t first =
          std::max<int64_t>(0, most - shape.experts) > 0 ? layer * 7 % (most - shape.experts) : 0;
      hosts.push_back(static_cast<const char*>(pinned) + first * parts_.bytes[0]);
      hosts.push_back(static_cast<const char*>(pinned) + first * parts_.bytes[1]);
    }
    hosts_ = Buffer(hosts);
    parts_.hosts = hosts_.get();
    for (int part = 0; part < 2; ++part) {
      check(cudaMalloc(&parts_.slots[part], parts_.bytes[part] * (shape.slots + shape.staging)),
            "slots");
    }
  }
  ~Cache() {
    cudaFree(memory_);
    for (int part = 0; part < 2; ++part) cudaFree(parts_.slots[part]);
  }
  void upload() {
    check(cudaMemcpy(memory_, aligned(image_.data()), bytes(), cudaMemcpyHostToDevice), "upload");
  }
  void download() {
    check(cudaMemcpy(aligned(image_.data()), memory_, bytes(), cudaMemcpyDeviceToHost), "download");
  }
  int64_t bytes() const { return cache_table_bytes(tables_.shape); }
  CacheTables& host() { return host_; }
  const CacheTables& tables() const { return tables_; }
  ExpertParts& parts() { return parts_; }
  CacheCounts sum() {
    download();
    CacheCounts sum{};
    for (int layer = 0; layer < host_.shape.layers; ++layer) {
      const CacheCounts& here = host_.counts[layer];
      sum.hits += here.hits;
      sum.late += here.late;
      sum.misses += here.misses;
      sum.prefetched += here.prefetched;
      sum.useful += here.useful;
      sum.wasted += here.wasted;
      sum.not_worth += here.not_worth;
    }
    return sum;
  }

 private:
  struct Line {
    char bytes[64];
  };
  static void* aligned(void* memory) {
    return reinterpret_cast<void*>((reinterpret_cast<uintptr_t>(memory) + 63) / 64 * 64);
  }

  std::vector<Line> image_;
  CacheTables host_;
  void* memory_ = nullptr;
  CacheTables tables_;
  ExpertParts parts_;
  Buffer<const void*> hosts_{0};
};

/// The branch of a recorded step in which so many of the mover's blocks run; none without blocks.
class MoverBranch {
 public:
  explicit MoverBranch(int blocks) : blocks_(blocks) {
    check(cudaStreamCreateWithFlags(&side_, cudaStreamNonBlocking), "stream");
    check(cudaEventCreate(&begun_), "event");
    check(cudaEventCreate(&moved_), "event");
  }
  ~MoverBranch() {
    cudaEventDestroy(begun_);
    cudaEventDestroy(moved_);
    cudaStreamDestroy(side_);
  }
  MoverBranch(const MoverBranch&) = delete;
  MoverBranch& operator=(const MoverBranch&) = delete;

  void begin_step(Cache& cache, cudaStream_t stream) const {
    check(cache_begin_step(cache.tables(), stream), "begin");
    if (blocks_ == 0) return;
    check(cudaEventRecord(begun_, stream), "event");
    check(cudaStreamWaitEvent(side_, begun_), "event");
    check(cache_run_mover(cache.tables(), cache.parts(), blocks_, side_), "mover");
    check(cudaEventRecord(moved_, side_), "event");
  }
  void end_step(Cache& cache, cudaStream_t stream) const {
    check(cache_end_step(cache.tables(), stream), "end");
    if (blocks_ > 0) check(cudaStreamWaitEvent(stream, moved_), "event");
  }

 private:
  int blocks_;
  cudaStream_t side_ = nullptr;
  cudaEvent_t begun_ = nullptr;
  cudaEvent_t moved_ = nullptr;
};

/// Records what `work` queues on the stream; then the microseconds of a replay, the least of some.
class Recorded {
 public:
  explicit Recorded(const std::function<void(cudaStream_t)>& work) {
    check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "stream");
    check(cudaEventCreate(&begin_), "event");
    check(cudaEventCreate(&end_), "event");
    cudaGraph_t graph = nullptr;
    check(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), "capture");
    work(stream_);
    check(cudaStreamEndCapture(stream_, &graph), "capture");
    check(cudaGraphInstantiate(&graph_, graph, 0), "graph");
    check(cudaGraphDestroy(graph), "graph");
  }
  ~Recorded() {
    cudaGraphExecDestroy(graph_);
    cudaEventDestroy(begin_);
    cudaEventDestroy(end_);
    cudaStreamDestroy(stream_);
  }
  double once() {
    check(cudaEventRecord(begin_, stream_), "event");
    check(cudaGraphLaunch(graph_, stream_), "launch");
    check(cudaEventRecord(end_, stream_), "event");
    check(cudaStreamSynchronize(stream_), "step");
    float milliseconds = 0;
    check(cudaEventElapsedTime(&milliseconds, begin_, end_), "event");
    return 1e3 * milliseconds;
  }
  double least(int times) {
    double least = once();
    for (int i = 1; i < times; ++i) least = std::min(least, once());
    return least;
  }

 private:
  cudaStream_t stream_ = nullptr;
  cudaEvent_t begin_ = nullptr;
  cudaEvent_t end_ = nullptr;
  cudaGraphExec_t graph_ = nullptr;
};

/// Reads memory as fast as it can.
__global__ void __launch_bounds__(256) read_kernel(const uint4* from, int64_t size, uint32_t* out) {
  wait_for_previous();
  let_next_begin();
  uint32_t sum = 0;
  const int64_t stride = int64_t{gridDim.x} * 256;
  int64_t i = int64_t{blockIdx.x} * 256 + threadIdx.x;
  for (; i + 3 * stride < size; i += 4 * stride) {
    uint4 four[4];
#pragma unroll
    for (int j = 0; j < 4; ++j) four[j] = __ldcs(from + i + j * stride);
#pragma unroll
    for (int j = 0; j < 4; ++j) sum += four[j].x ^ four[j].y ^ four[j].z ^ four[j].w;
  }
  if (sum == 12345) *out = sum;
}

class Reader {
 public:
  explicit Reader(int64_t bytes) : bytes_(bytes) {
    check(cudaMalloc(&memory_, bytes), "memory");
    check(cudaMemset(memory_, 1, bytes), "memory");
    check(cudaMalloc(&out_, 4), "memory");
  }
  ~Reader() {
    cudaFree(memory_);
    cudaFree(out_);
  }
  void queue(int64_t bytes, cudaStream_t stream) const {
    check(launch_early(read_kernel, {dim3(132 * 4), 256}, stream,
                       static_cast<const uint4*>(memory_), std::min(bytes, bytes_) / 16, out_),
          "reader");
  }

 private:
  int64_t bytes_;
  void* memory_ = nullptr;
  uint32_t* out_ = nullptr;
};

constexpr int kLayers = 24;
constexpr int kExperts = 64;

/// Choices [steps, L, k] of which `misses` change from step to step.
std::vector<int64_t> changing_choices(int steps, int layers, int experts, int k, int misses) {
  std::vector<int64_t> chosen;
  for (int step = 0; step < steps; ++step) {
    for (int layer = 0; layer < layers; ++layer) {
      for (int i = 0; i < k; ++i) {
        const int turning = experts - (k - misses);
        chosen.push_back(i < misses ? (step * misses + i) % turning : turning + i - misses);
      }
    }
  }
  return chosen;
}

void time_lookups(const void* pinned, int64_t pinned_bytes) {
  std::printf("microseconds a lookup and a fetch (experts of 256 bytes), by slots and misses:\n");
  constexpr int kSteps = 24;
  for (const int slots : {240, 1000, 3000}) {
    for (const int k : {4, 8}) {
      for (const int misses : {0, 1, k}) {
        // As many layers as fill the slots up to a few.
        const int layers = std::max(1, std::min(200, slots / (2 * k)));
        CacheShape shape{.layers = layers, .experts = kExperts, .slots = slots, .staging = 8};
        if (misses > 0) shape.slots = std::min(slots, layers * k * 2);
        Cache cache(shape, 256, pinned, pinned_bytes);
        const auto chosen = Buffer(changing_choices(kSteps, layers, kExperts, k, misses));
        const auto queue = [&](bool with_fetch, cudaStream_t stream) {
          for (int step = 0; step < kSteps; ++step) {
            check(cache_begin_step(cache.tables(), stream), "begin");
            for (int layer = 0; layer < layers; ++layer) {
              const CacheEvent event{layer, 1, k, chosen.get() + (step * layers + layer) * k};
              check(cache_look_up(cache.tables(), event, cache.parts(), stream), "lookup");
              if (with_fetch) {
                check(cache_fetch(cache.tables(), cache.parts(), 32, stream), "fetch");
              }
            }
          }
        };
        Recorded lookups([&](cudaStream_t stream) { queue(false, stream); });
        Recorded both([&](cudaStream_t stream) { queue(true, stream); });
        lookups.once();
        cache.download();
        const CacheCounts before = cache.sum();
        const double events = kSteps * layers;
        const double lookup_us = lookups.least(3) / events;
        const double both_us = both.least(3) / events;
        const CacheCounts after = cache.sum();
        std::printf("  slots %5d k %d: %.2f misses a lookup: %6.2f us, with fetch %6.2f us\n",
                    shape.slots, k,
                    static_cast<double>(after.misses - before.misses) / (6 * events), lookup_us,
                    both_us);
      }
    }
  }
}

void time_foreseeing(const void* pinned, int64_t pinned_bytes, const Reader& reader) {
  std::printf(
      "microseconds of a layer's router logits, lookup, fetch (all hits) and a reader of 16 MB, "
      "with what foresees:\n");
  constexpr int kSteps = 20;
  constexpr int k = 4;
  constexpr int kHidden = 2048;
  const auto x = Buffer(std::vector<uint16_t>(kHidden, 0x3f80));
  const auto routers = Buffer(std::vector<float>(size_t{9} * kExperts * kHidden, 0.0F));
  const auto logits = Buffer(std::vector<float>(size_t{9} * kExperts));
  for (const int depths : {0, 1, 2, 4, 8}) {
    for (const bool scores_too : {false, true}) {
      if (depths == 0 && scores_too) continue;
      const CacheShape shape{.layers = kLayers, .experts = kExperts, .slots = 720, .staging = 8};
      Cache cache(shape, 256, pinned, pinned_bytes);
      const auto chosen = Buffer(changing_choices(kSteps, kLayers, kExperts, k, 0));
      std::vector<float> told(static_cast<size_t>(8 * kExperts), -9.0F);
      for (int depth = 0; depth < 8; ++depth) {  // what is always chosen
        for (int i = 0; i < k; ++i) told[static_cast<size_t>((depth + 1) * kExperts - 1 - i)] = 1;
      }
      const auto scores = Buffer(told);
      const auto rules = Buffer(std::vector<DepthRule>(8, {1, 0, 0, 0.5F}));
      const auto worth = Buffer(std::vector<float>(kVictimAges, 0.0F));
      Recorded recorded([&](cudaStream_t stream) {
        for (int step = 0; step < kSteps; ++step) {
          check(cache_begin_step(cache.tables(), stream), "begin");
          for (int layer = 0; layer < kLayers; ++layer) {
            const CacheEvent event{layer, 1, k, chosen.get() + (step * kLayers + layer) * k};
            const Foreseen foreseen{.scores = scores.get(),
                                    .token_stride = 8 * kExperts,
                                    .depths = depths,
                                    .tokens = 1,
                                    .rules = rules.get(),
                                    .victim_worth = worth.get()};
            check(router_logits(x.get(), routers.get(), logits.get(), 1, kExperts, kHidden,
                                DType::kBFloat16, stream),
                  "router");
            if (scores_too) {
              check(router_logits(x.get(), routers.get() + kExperts * kHidden,
                                  logits.get() + kExperts, 1, int64_t{depths} * kExperts, kHidden,
                                  DType::kBFloat16, stream),
                    "scores");
            }
            check(cache_look_up(cache.tables(), event, cache.parts(), stream), "lookup");
            check(cache_fetch(cache.tables(), cache.parts(), 32, stream), "fetch");
            reader.queue(16 << 20, stream);
            if (depths > 0) {
              check(cache_foresee(cache.tables(), cache.parts(), layer, foreseen, stream),
                    "foresee");
            }
          }
        }
      });
      recorded.once();
      std::printf("  %d depths%s: %6.2f us\n", depths, scores_too ? ", with their logits" : "",
                  recorded.least(3) / (kSteps * kLayers));
    }
  }
}

void time_gather(const void* pinned, int64_t pinned_bytes) {
  std::printf("GB/s of fetch, by experts missing:\n");
  for (const int64_t bytes : {int64_t{4'866'048}, int64_t{8'650'752}, int64_t{17'301'504}}) {
    for (const int blocks : {8, 16, 32, 64}) {
      std::printf("  %5.2f MB, %2d blocks:", 1e-6 * static_cast<double>(bytes), blocks);
      for (const int misses : {1, 2, 4, 8}) {
        const CacheShape shape{.layers = 1, .experts = kExperts, .slots = 8, .staging = 8};
        Cache cache(shape, bytes, pinned, pinned_bytes);
        constexpr int kSteps = 12;
        const auto chosen = Buffer(changing_choices(kSteps, 1, kExperts, misses, misses));
        Recorded recorded([&](cudaStream_t stream) {
          for (int step = 0; step < kSteps; ++step) {
            check(cache_begin_step(cache.tables(), stream), "begin");
            const CacheEvent event{0, 1, misses, chosen.get() + step * misses};
            check(cache_look_up(cache.tables(), event, cache.parts(), stream), "lookup");
            check(cache_fetch(cache.tables(), cache.parts(), blocks, stream), "fetch");
          }
        });
        recorded.once();
        const CacheCounts before = cache.sum();
        const double microseconds = recorded.least(3);
        const double experts = static_cast<double>(cache.sum().misses - before.misses) / 3;
        std::printf("  %d: %.1f", misses,
                    experts * static_cast<double>(bytes) / microseconds * 1e-3);
      }
      std::printf("\n");
    }
  }
}

void time_mover(const void* pinned, int64_t pinned_bytes, const Reader& reader) {
  std::printf("mover: GB/s, and microseconds that a reader of 8 x 512 MB takes beside it:\n");
  constexpr int64_t kBytes = 8'650'752;
  constexpr int64_t kRead = int64_t{512} << 20;
  for (const int64_t piece : {int64_t{32} << 10, int64_t{64} << 10, int64_t{128} << 10}) {
    for (const int blocks : {0, 4, 8, 12, 16}) {
      for (const bool reads : {false, true}) {
        if (blocks == 0 && (!reads || piece != 64 << 10)) continue;
        const CacheShape shape{.layers = 1, .experts = kExperts, .slots = 64, .staging = 0};
        Cache cache(shape, kBytes, pinned, pinned_bytes);
        cache.parts().piece_bytes = piece;
        int64_t pieces = 0;
        for (int part = 0; part < 2; ++part) {
          pieces += (cache.parts().bytes[part] + piece - 1) / piece;
        }
        const MoverBranch mover(blocks);
        Recorded recorded([&](cudaStream_t stream) {
          mover.begin_step(cache, stream);
          for (int i = 0; i < 8; ++i) reader.queue(reads ? kRead : kRead / 64, stream);
          if (!reads) {  // as long as the reader of everything takes
            for (int i = 0; i < 200; ++i) reader.queue(1 << 20, stream);
          }
          mover.end_step(cache, stream);
        });
        double least = 1e9;
        double most_rate = 0;
        for (int round = 0; round < 4; ++round) {
          for (int i = 0; i < shape.transfers; ++i) {
            cache.host().transfers[i] = {.next = 0,
                                         .done = 0,
                                         .expert = i % kExperts,
                                         .slot = i,
                                         .need = i,
                                         .expected = static_cast<uint32_t>(pieces),
                                         .state = Transfer::kMoving};
          }
          cache.upload();
          const double microseconds = recorded.once();
          cache.download();
          int64_t done = 0;
          for (int i = 0; i < shape.transfers; ++i) done += cache.host().transfers[i].done;
          least = std::min(least, microseconds);
          most_rate = std::max(most_rate, static_cast<double>(done * kBytes) /
                                              static_cast<double>(pieces) / microseconds * 1e-3);
        }
        std::printf("  pieces of %3ld KB, %2d blocks, %s: %5.1f GB/s, %7.1f us\n",
                    static_cast<long>(piece >> 10), blocks, reads ? "reader" : "alone ", most_rate,
                    least);
      }
    }
  }
}

/// Choices [steps, L, k], of which about half are the step's before.
std::vector<int64_t> random_choices(int steps, int k) {
  std::mt19937 random(5);
  std::vector<int64_t> chosen;
  for (int step = 0; step < steps; ++step) {
    for (int layer = 0; layer < kLayers; ++layer) {
      const size_t first = chosen.size();
      for (int i = 0; i < k; ++i) {
        int64_t expert = step > 0 && random() % 100 < 60
                             ? chosen[first + i - static_cast<size_t>(kLayers * k)]
                             : random() % kExperts;
        while (std::find(chosen.begin() + static_cast<long>(first), chosen.end(), expert) !=
               chosen.end()) {
          expert = (expert + 1) % kExperts;
        }
        chosen.push_back(expert);
      }
    }
  }
  return chosen;
}

void time_steps(const void* pinned, int64_t pinned_bytes, const Reader& reader) {
  std::printf(
      "steps of 24 layers that each read 200 MB, 4 of 64 experts of 4.87 MB, half of them in "
      "slots; microseconds:\n");
  constexpr int k = 4;
  constexpr int kSteps = 40;
  constexpr int64_t kBytes = 4'866'048;
  constexpr int64_t kRead = int64_t{200} << 20;
  const std::vector<int64_t> trace = random_choices(kSteps, k);
  Recorded compute([&](cudaStream_t stream) {
    for (int layer = 0; layer < kLayers; ++layer) reader.queue(kRead, stream);
  });
  compute.once();
  std::printf("  compute alone: %.1f\n", compute.least(5));
  for (const int slots : {kLayers * kExperts / 2}) {
    for (const int depths : {0, 1, 2, 4, 8}) {
      for (const int blocks : {0, 8, 12, 16}) {
        if ((depths == 0) != (blocks == 0)) continue;
        const CacheShape shape{
            .layers = kLayers, .experts = kExperts, .slots = slots, .staging = 8};
        Cache cache(shape, kBytes, pinned, pinned_bytes);
        cache.parts().piece_bytes = 64 << 10;
        std::vector<int64_t> first(trace.begin(), trace.begin() + kLayers * k);
        const auto chosen = Buffer(first);
        const auto scores = Buffer(std::vector<float>(static_cast<size_t>(kLayers * 8 * kExperts)));
        const auto rules = Buffer(std::vector<DepthRule>(8, {1, 0, 0, 0.5F}));
        const auto worth = Buffer(std::vector<float>(kVictimAges, 0.0F));
        const MoverBranch mover(blocks);
        Recorded recorded([&](cudaStream_t stream) {
          mover.begin_step(cache, stream);
          for (int layer = 0; layer < kLayers; ++layer) {
            const CacheEvent event{layer, 1, k, chosen.get() + layer * k};
            const Foreseen foreseen{.scores = scores.get() + layer * 8 * kExperts,
                                    .token_stride = 8 * kExperts,
                                    .depths = depths,
                                    .tokens = 1,
                                    .rules = rules.get(),
                                    .victim_worth = worth.get()};
            check(cache_look_up(cache.tables(), event, cache.parts(), stream), "lookup");
            check(cache_fetch(cache.tables(), cache.parts(), 32, stream), "fetch");
            reader.queue(kRead, stream);
            if (depths > 0) {
              check(cache_foresee(cache.tables(), cache.parts(), layer, foreseen, stream),
                    "foresee");
            }
          }
          mover.end_step(cache, stream);
        });
        double sum = 0;
        CacheCounts before{};
        for (int step = 0; step < kSteps; ++step) {
          if (step == kSteps / 2) before = cache.sum();
          const int64_t* row = trace.data() + static_cast<ptrdiff_t>(step * kLayers * k);
          check(
              cudaMemcpy(chosen.get(), row, kLayers * k * sizeof(int64_t), cudaMemcpyHostToDevice),
              "choice");
          std::vector<float> told(static_cast<size_t>(kLayers * 8 * kExperts), -9.0F);
          for (int layer = 0; layer < kLayers; ++layer) {
            for (int depth = 0; depth < depths && layer + 1 + depth < kLayers; ++depth) {
              for (int i = 0; i < k; ++i) {
                told[static_cast<size_t>((layer * 8 + depth) * kExperts +
                                         row[(layer + 1 + depth) * k + i])] = 9;
              }
            }
          }
          // The kernels take [tokens, depths, E] of as many depths as there are.
          check(cudaMemcpy(scores.get(), told.data(), told.size() * sizeof(float),
                           cudaMemcpyHostToDevice),
                "scores");
          const double microseconds = recorded.once();
          if (step >= kSteps / 2) sum += microseconds;
        }
        const CacheCounts after = cache.sum();
        const double steps = kSteps - kSteps / 2;
        const auto each = [&](int64_t CacheCounts::*count) {
          return static_cast<double>(after.*count - before.*count) / steps;
        };
        const double transfers = each(&CacheCounts::misses) + each(&CacheCounts::useful);
        std::printf(
            "  %4d slots, %d depths, %2d blocks: %8.1f  hits %.1f late %.1f misses %.1f "
            "prefetched %.1f wasted %.1f not worth %.1f; needed bytes at 50 GB/s %.1f\n",
            slots, depths, blocks, sum / steps, each(&CacheCounts::hits), each(&CacheCounts::late),
            each(&CacheCounts::misses), each(&CacheCounts::prefetched), each(&CacheCounts::wasted),
            each(&CacheCounts::not_worth), transfers * static_cast<double>(kBytes) / 50e9 * 1e6);
      }
    }
  }
}

}  // namespace

int main(int count, char** words) {
  const auto asked = [&](const char* part) {
    return count < 2 || std::any_of(words + 1, words + count,
                                    [&](const char* word) { return std::strcmp(word, part) == 0; });
  };
  const int64_t pinned_bytes = int64_t{2} << 30;
  void* pinned = nullptr;
  check(cudaMallocHost(&pinned, pinned_bytes), "pinned memory");
  {
    const Reader reader(int64_t{512} << 20);
    if (asked("steps")) time_steps(pinned, pinned_bytes, reader);
    if (asked("mover")) time_mover(pinned, pinned_bytes, reader);
    if (asked("foresee")) time_foreseeing(pinned, pinned_bytes, reader);
  }
  if (asked("gather")) time_gather(pinned, pinned_bytes);
  if (asked("lookup")) time_lookups(pinned, pinned_bytes);
  check(cudaFreeHost(pinned), "pinned memory");
  return 0;
}
