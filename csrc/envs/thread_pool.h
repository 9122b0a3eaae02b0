/* A pool of threads that share out numbered tasks.
 *
 *   fastpg_pool_open(pool, threads)              start threads - 1 threads; 0 or an errno
 *   fastpg_pool_run(pool, task, context, count)  call task(context, i, thread) for i = 0..count-1
 *   fastpg_pool_close(pool)                      join the threads
 *
 * The caller is thread 0. Each thread has a fixed share of the numbers, so that their data stays in
 * its cache; when it is done, it takes numbers from other shares. Threads wait by spinning, as
 * steps of a vector environment follow each other closely; then they sleep. How long they spin
 * depends on how soon the last round came. A forked child has no threads: it starts its own. */
#ifndef FASTPG_THREAD_POOL_H
#define FASTPG_THREAD_POOL_H

#include <stdint.h>

#define FASTPG_MOST_THREADS 256

typedef void (*fastpg_task_t)(void *context, int64_t i, int thread);

#if defined(_WIN32)

typedef struct {
    int threads;
} fastpg_pool_t;

static int fastpg_pool_open(fastpg_pool_t *pool, int threads) {
    (void)threads;
    pool->threads = 1; /* the caller alone */
    return 0;
}
static void fastpg_pool_close(fastpg_pool_t *pool) { (void)pool; }
static int fastpg_pool_run(fastpg_pool_t *pool, fastpg_task_t task, void *context, int64_t count) {
    (void)pool;
    for (int64_t i = 0; i < count; i++) task(context, i, 0);
    return 0;
}

#else

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

/* Nanoseconds to spin. Waking a thread takes some 50 microseconds, as long as ten games need for a
 * step. If the last round came within the long wait, as in a Python loop over a vector environment,
 * threads spin for the long wait. If not, they free their core after the short one. */
#define FASTPG_SHORT_WAIT 30000
#define FASTPG_LONG_WAIT 300000
#define FASTPG_SPINS 64          /* between two looks at the clock */
#define FASTPG_CALLER_SPINS 1500 /* for the last tasks of a round: 10 to 50 us on x86-64 */

typedef struct fastpg_pool fastpg_pool_t;

/* A thread's numbers next..end-1, in cache lines of their own (some CPUs fetch two at once). */
typedef struct {
    atomic_llong next;
    int64_t end;
    char rest[128 - sizeof(atomic_llong) - sizeof(int64_t)];
} fastpg_share_t;

typedef struct {
    fastpg_pool_t *pool;
    int number;
    pthread_t id;
} fastpg_thread_t;

struct fastpg_pool {
    int threads; /* the caller included */
    pid_t process;
    pthread_mutex_t lock;
    pthread_cond_t wake, done;
    atomic_uint round;   /* raised for each run */
    atomic_int sleeping; /* threads to be woken */
    atomic_int busy;     /* threads that have not finished this round */
    atomic_int leaving;
    fastpg_task_t task;
    void *context;
    fastpg_share_t share[FASTPG_MOST_THREADS];
    fastpg_thread_t thread[FASTPG_MOST_THREADS];
};

static inline void fastpg_relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

static void fastpg_pool_divide(fastpg_pool_t *pool, int64_t count) {
    for (int k = 0; k < pool->threads; k++) {
        atomic_store_explicit(&pool->share[k].next, count * k / pool->threads,
                              memory_order_relaxed);
        pool->share[k].end = count * (k + 1) / pool->threads;
    }
}

static void fastpg_pool_work_off(fastpg_pool_t *pool, int thread) {
    int64_t i;
    for (int k = 0; k < pool->threads; k++) {
        fastpg_share_t *share = &pool->share[(thread + k) % pool->threads];
        while ((i = atomic_fetch_add_explicit(&share->next, 1, memory_order_relaxed)) < share->end)
            pool->task(pool->context, i, thread);
    }
}

static int64_t fastpg_nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Spin until the round after `last`, but for at most `wait` nanoseconds; returns whether it came.
 * After the short wait other threads that want the core get it. */
static int fastpg_pool_spin(fastpg_pool_t *pool, unsigned last, int64_t began, int64_t wait) {
    for (;;) {
        for (int spin = 0; spin < FASTPG_SPINS; spin++) {
            if (atomic_load_explicit(&pool->round, memory_order_acquire) != last) return 1;
            fastpg_relax();
        }
        int64_t waited = fastpg_nanoseconds() - began;
        if (waited > wait) return 0;
        if (waited > FASTPG_SHORT_WAIT) sched_yield();
    }
}

static void fastpg_pool_sleep(fastpg_pool_t *pool, unsigned last) {
    pthread_mutex_lock(&pool->lock);
    atomic_fetch_add(&pool->sleeping, 1);
    while (atomic_load(&pool->round) == last) pthread_cond_wait(&pool->wake, &pool->lock);
    atomic_fetch_sub(&pool->sleeping, 1);
    pthread_mutex_unlock(&pool->lock);
}

/* Wait for the round after `last`; returns its number. `wait` is how long to spin, and becomes how
 * long to spin the next time. */
static unsigned fastpg_pool_await(fastpg_pool_t *pool, unsigned last, int64_t *wait) {
    int64_t began = fastpg_nanoseconds();
    if (!fastpg_pool_spin(pool, last, began, *wait)) fastpg_pool_sleep(pool, last);
    *wait = fastpg_nanoseconds() - began < FASTPG_LONG_WAIT ? FASTPG_LONG_WAIT : FASTPG_SHORT_WAIT;
    return atomic_load_explicit(&pool->round, memory_order_acquire);
}

static void *fastpg_pool_work(void *argument) {
    fastpg_thread_t *self = argument;
    fastpg_pool_t *pool = self->pool;
    unsigned round = 0;
    int64_t wait = FASTPG_SHORT_WAIT;
    for (;;) {
        round = fastpg_pool_await(pool, round, &wait);
        if (atomic_load(&pool->leaving)) return 0;
        fastpg_pool_work_off(pool, self->number);
        if (atomic_fetch_sub_explicit(&pool->busy, 1, memory_order_acq_rel) == 1) {
            pthread_mutex_lock(&pool->lock); /* the caller may be about to sleep */
            pthread_cond_signal(&pool->done);
            pthread_mutex_unlock(&pool->lock);
        }
    }
}

static void fastpg_pool_next_round(fastpg_pool_t *pool) {
    atomic_fetch_add(&pool->round, 1); /* before `sleeping` is read: sleepers raise that first */
    if (atomic_load(&pool->sleeping)) {
        pthread_mutex_lock(&pool->lock);
        pthread_cond_broadcast(&pool->wake);
        pthread_mutex_unlock(&pool->lock);
    }
}

static void fastpg_pool_close(fastpg_pool_t *pool) {
    if (pool->threads && pool->process == getpid()) { /* else a forked child, without threads */
        atomic_store(&pool->leaving, 1);
        pthread_mutex_lock(&pool->lock);
        atomic_fetch_add(&pool->round, 1);
        pthread_cond_broadcast(&pool->wake);
        pthread_mutex_unlock(&pool->lock);
        for (int k = 1; k < pool->threads; k++) pthread_join(pool->thread[k].id, 0);
        pthread_mutex_destroy(&pool->lock);
        pthread_cond_destroy(&pool->wake);
        pthread_cond_destroy(&pool->done);
    }
    pool->threads = 0;
}

/* Returns 0, or an errno; there are then fewer threads. */
static int fastpg_pool_open(fastpg_pool_t *pool, int threads) {
    int failed = 0;
    pthread_mutex_init(&pool->lock, 0);
    pthread_cond_init(&pool->wake, 0);
    pthread_cond_init(&pool->done, 0);
    atomic_store(&pool->round, 0);
    atomic_store(&pool->sleeping, 0);
    atomic_store(&pool->busy, 0);
    atomic_store(&pool->leaving, 0);
    pool->process = getpid();
    pool->threads = 1;
    sigset_t all, before; /* signals go to the threads that Python knows */
    sigfillset(&all);
    const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL,
                          SIGABRT}; /* faults of the thread itself */
    for (int k = 0; k < 5; k++) sigdelset(&all, faults[k]);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (int k = 1; k < threads && k < FASTPG_MOST_THREADS && !failed; k++) {
        pool->thread[k].pool = pool;
        pool->thread[k].number = k;
        failed = pthread_create(&pool->thread[k].id, 0, fastpg_pool_work, &pool->thread[k]);
        pool->threads += !failed;
    }
    pthread_sigmask(SIG_SETMASK, &before, 0);
    return failed;
}

/* Returns 0, or an errno if a forked child could not start threads; the work is done even then. */
static int fastpg_pool_run(fastpg_pool_t *pool, fastpg_task_t task, void *context, int64_t count) {
    int failed = 0;
    if (pool->threads > 1 && pool->process != getpid())
        failed = fastpg_pool_open(pool, pool->threads);
    pool->task = task;
    pool->context = context;
    fastpg_pool_divide(pool, count);
    if (pool->threads <= 1 || count == 1) {
        fastpg_pool_work_off(pool, 0);
        return failed;
    }
    atomic_store(&pool->busy, pool->threads - 1);
    fastpg_pool_next_round(pool);
    fastpg_pool_work_off(pool, 0);
    for (int spin = 0; spin < FASTPG_CALLER_SPINS; spin++) {
        if (!atomic_load_explicit(&pool->busy, memory_order_acquire)) return failed;
        fastpg_relax();
    }
    pthread_mutex_lock(&pool->lock);
    while (atomic_load(&pool->busy)) pthread_cond_wait(&pool->done, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
    return failed;
}

#endif
#endif
