#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "engine/experts/copy_lane.h"

namespace foregate::engine {

/// What brings one expert to its place.
struct ExpertRoute {
  std::vector<ExpertPiece> parts;
  tensor::DeviceEvent after{};  ///< until when the place is in use
};

/// Brings experts over a lane: demand before prefetch, demand in the order asked for, prefetch in
/// the order of need. A prefetch goes in pieces, and between two of them a demand overtakes it. As
/// offload::TransferLink, which tells how long it takes, but real.
///
/// With prefetching a thread of its own moves; without, whoever asks. All but wait() is called by
/// who holds the lock, which also guards what Hooks::begin touches.
class ExpertMover {
 public:
  struct Hooks {
    /// A prefetch is about to move its first byte: where to; nothing: there is no place for it. The
    /// lock is held.
    std::function<std::optional<ExpertRoute>(size_t expert)> begin;
    /// Names an expert in messages.
    std::function<std::string(size_t expert)> name;
    /// Some of it was moved, in so many seconds. The lock is held.
    std::function<void(size_t expert, bool prefetched, int64_t bytes, double seconds)> moved;
  };
  enum class State : uint8_t { kIdle, kQueued, kMoving };

  /// Of `num_experts` experts. A prefetch goes in `pieces`; 0: nothing is prefetched.
  ExpertMover(std::unique_ptr<CopyLane> lane, int pieces, size_t num_experts, Hooks hooks);
  ~ExpertMover();
  ExpertMover(const ExpertMover&) = delete;
  ExpertMover& operator=(const ExpertMover&) = delete;

  std::unique_lock<std::mutex> lock() { return std::unique_lock(mutex_); }

  State state(size_t expert) const { return states_[expert]; }
  /// Asks for an expert that is idle.
  void demand(size_t expert, ExpertRoute route);
  /// `need` orders prefetches: the lowest first.
  void prefetch(size_t expert, int64_t need);
  /// A prefetch that is now waited for.
  void promote(size_t expert);
  /// Drops a prefetch. -> bytes of it that were moved, or are moving now, in vain.
  int64_t drop(size_t expert);
  /// Throws what wait() threw, if it did.
  void check() const;

  /// Waits until the expert is there, or lets the device's current stream wait; returns at once for
  /// one that is idle. Throws DeviceError if a copy failed, now or before: then nothing is brought
  /// any more.
  void wait(size_t expert);

 private:
  struct Job {
    uint64_t number = 0;
    size_t expert = 0;
    int64_t need = 0;
    bool demand = false;
    bool prefetched = false;
    bool begun = false;
    size_t next = 0;  ///< of pieces
    std::vector<ExpertPiece> pieces{};
    tensor::DeviceEvent after{};
    std::vector<CopyLane::Ticket> tickets{};  ///< without a thread: of all that was begun
  };

  void run(const std::stop_token& stop);
  void move_next(std::unique_lock<std::mutex>& guard);
  void fail(size_t expert, const char* why);
  std::deque<Job>::iterator find(size_t expert);
  std::deque<Job>::iterator next_job();
  std::vector<ExpertPiece> cut(const std::vector<ExpertPiece>& parts) const;

  std::unique_ptr<CopyLane> lane_;
  int pieces_;
  Hooks hooks_;
  std::vector<State> states_;
  std::deque<Job> jobs_;  // in the order asked for
  uint64_t next_number_ = 0;
  std::string failure_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::jthread thread_;
};

}  // namespace foregate::engine
